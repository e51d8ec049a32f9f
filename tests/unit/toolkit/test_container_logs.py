"""The logs of containers that come and go, from a daemon whose answers a test decides."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

from fakes.running_proxy import wait_until
from scout_deploy.containers import labels
from scout_deploy.containers.observation import ContainerObservation
from scout_deploy.containers.observed import ObservedContainer
from scout_deploy.runtimes.container_logs import ContainerLogs
from scout_deploy.runtimes.container_runtime import ContainerRuntime
from scout_deploy.runtimes.docker_answers import LogStream

NAME = "scout-test-engine-1-0"
ENGINE = ObservedContainer(id="1", name=NAME, status="running", labels={labels.ROLE: "engine"})


def stamped(*seconds: int) -> bytes:
    return b"".join(b"2026-01-01T00:00:%02d.000000000Z line %d\n" % (second, second) for second in seconds)


@dataclass
class Daemon:
    """Has a container for so many looks; gives what each of its streams holds, and then ends it.

    After each stream that is asked for, it is time for another look; otherwise no time goes by.
    """

    streams: list[bytes]
    looks: int
    now_s: float = 0.0
    asked: list[float | None] = field(default_factory=list)
    is_gone: threading.Event = field(default_factory=threading.Event)

    @property
    def engine(self) -> "Daemon":
        return self

    def look(self, name: str) -> ContainerObservation:
        if self.looks == 0:
            self.is_gone.set()
            return ContainerObservation(name=name)
        self.looks -= 1
        return ContainerObservation(name=name, containers=(ENGINE,))

    def follow_log(self, _: str, *, tail: int | None, since_s: float | None) -> LogStream:
        assert tail is None
        self.asked.append(since_s)
        self.now_s += 3600
        return LogStream(chunks=self.chunks(), close=lambda: None)

    def chunks(self) -> Iterator[bytes]:
        yield self.streams.pop(0)


@dataclass
class SlowDaemon(Daemon):
    """Gives nothing before the container is gone."""

    def chunks(self) -> Iterator[bytes]:
        assert self.is_gone.wait(60)
        yield from super().chunks()


def followed(daemon: Daemon) -> Iterator[str]:
    runtime = cast("ContainerRuntime", daemon)
    logs = ContainerLogs(runtime, "test", frozenset({"engine"}), clock=lambda: daemon.now_s)
    return (line.text for _, line in logs.follow())


def is_read_to_its_end() -> bool:
    return not any(thread.name == f"log {NAME}" for thread in threading.enumerate())


def test_what_waits_of_a_life_that_ended_is_shown_once_where_the_next_one_has_begun() -> None:
    # Docker gives the line of the moment that is asked from, and everything behind it, again.
    daemon = Daemon([stamped(1, 2, 3), stamped(3, 4)], looks=2)
    lines = followed(daemon)

    first = next(lines)
    wait_until(is_read_to_its_end, "all of the first life was read")

    assert [first, *lines] == ["line 1", "line 2", "line 3", "line 4"]
    assert len(daemon.asked) == 2


def test_the_last_words_of_what_is_gone_are_waited_for() -> None:
    assert list(followed(SlowDaemon([stamped(1)], looks=1))) == ["line 1"]
