"""A number of users, each of whom asks again when answered: Locust's users, run by Locust's runner."""

from collections.abc import Callable
from itertools import count

import gevent
from gevent.event import Event
from locust import User, constant, task
from locust.env import Environment
from locust.exception import StopUser

from scout_loadtest.client.api_client import ApiClient
from scout_loadtest.load.pause import pause_s
from scout_loadtest.record import Record
from scout_loadtest.workload.plan import RequestPlan

_START_S = 1.0
_POLL_S = 0.02


class ClosedLoop:
    """That many users.

    Args:
        new_client: Makes a user's client; one connection is enough.
        begin: Called before a request is sent.
        end: Takes each record.
        warm_up_s: What is sent before it is warm-up.
        ends_s: When the last is sent.
    """

    def __init__(
        self,
        *,
        users: int,
        plan: RequestPlan,
        new_client: Callable[[], ApiClient],
        clock: Callable[[], float],
        begin: Callable[[], None],
        end: Callable[[Record], None],
        warm_up_s: float,
        ends_s: float,
    ) -> None:
        self._users = users
        self._plan = plan
        self._new_client = new_client
        self._clock = clock
        self._begin = begin
        self._end = end
        self._warm_up_s = warm_up_s
        self._ends_s = ends_s
        self._numbers = count()

    def run(self, stop: Event) -> None:
        """Let the users ask until the time is over or `stop` is set; does not wait for the last answers."""
        self._over = Event()
        # Locust's own statistics and its warnings of this process's load are not needed: there are records of both.
        self._runner = Environment(user_classes=[self._user_class()]).create_local_runner()
        self._runner.start(self._users, spawn_rate=self._users / _START_S)
        stop.wait(max(0.0, self._ends_s - self._clock()))
        self._over.set()

    def wait(self, timeout_s: float) -> None:
        """Wait for the answers that are due still; those that are not there in time get no record."""
        with gevent.Timeout(timeout_s, False):  # noqa: FBT003 # means: end the block, raise nothing
            while self._runner.user_count:
                gevent.sleep(_POLL_S)
        self._runner.quit()

    def _user_class(self) -> type[User]:
        loop = self

        class ClosedLoopUser(User):
            wait_time = constant(0)

            def on_start(self) -> None:
                self.client = loop._new_client()

            @task
            def ask(self) -> None:
                if loop._over.is_set():
                    raise StopUser
                loop._ask(self.client)

            def on_stop(self) -> None:
                self.client.close()

        return ClosedLoopUser

    def _ask(self, client: ApiClient) -> None:
        request = self._plan.request(next(self._numbers))
        self._begin()
        record = client.send(request, is_warm_up=self._clock() < self._warm_up_s)
        self._end(record)
        self._over.wait(pause_s(record))
