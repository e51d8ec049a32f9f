"""Locust's users: one class for each kind of requests, and one for the mixture."""

from collections.abc import Mapping
from typing import ClassVar

import gevent
from locust import User, constant, task
from locust.exception import StopUser

from scout_loadtest.load.locust_load import LocustLoad
from scout_loadtest.load.pause import pause_s

_IDLE_S = 1.0


def load_of(user: User) -> LocustLoad:
    """Return the load that the locustfile began."""
    load: LocustLoad = user.environment.scout_load
    return load


class ApiUser(User):
    """Asks, waits for the whole answer, asks again, later where it was told so; on a connection of its own."""

    abstract = True
    wait_time = constant(0)
    mix: ClassVar[Mapping[str, float]]

    def on_start(self) -> None:
        """Make the client, which connects when it is used."""
        self.client = load_of(self).new_client(1) if load_of(self).is_ready else None

    def on_stop(self) -> None:
        """Close the connection."""
        if self.client is not None:
            self.client.close()

    @task
    def ask(self) -> None:
        """Send one request; nothing where a schedule sends them."""
        if self.client is None:
            raise StopUser
        if load_of(self).is_open:
            gevent.sleep(_IDLE_S)
        else:
            gevent.sleep(pause_s(load_of(self).ask(self.client, self.mix)))


class MixedUser(ApiUser):
    """All of the others, as people use the API."""

    mix: ClassVar = {"mixed": 1}


class UniqueUser(ApiUser):
    """A new prompt each time."""

    mix: ClassVar = {"unique": 1}


class RepeatedUser(ApiUser):
    """Few prompts, some much more popular."""

    mix: ClassVar = {"repeated": 1}


class StreamedUser(ApiUser):
    """Reads its answers piece by piece."""

    mix: ClassVar = {"streamed": 1}


class LongPromptUser(ApiUser):
    """Sends the longest tenth of the prompts."""

    mix: ClassVar = {"long_prompt": 1}


class LongAnswerUser(ApiUser):
    """Asks for the longest tenth of the answers."""

    mix: ClassVar = {"long_answer": 1}


class SequencesUser(ApiUser):
    """Asks for several texts at once."""

    mix: ClassVar = {"sequences": 1}


class ChatUser(ApiUser):
    """Speaks OpenAI's protocol."""

    mix: ClassVar = {"chat": 1}
