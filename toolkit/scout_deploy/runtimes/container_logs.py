"""The logs of a deployment's containers: what is there, and what comes, through crashes and restarts."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from scout_deploy.containers.log_lines import LogLine, parse_log
from scout_deploy.containers.observed import ObservedContainer
from scout_deploy.errors import DockerUnavailableError
from scout_deploy.runtimes.container_runtime import ContainerRuntime
from scout_deploy.runtimes.docker_errors import DaemonRefusedError
from scout_deploy.runtimes.log_pump import LogPump, PumpedLine

_LOOK_S = 1.0
_WAIT_S = 0.2
# Of a container that is gone, Docker ends the stream at once.
_REST_S = 5.0


@dataclass
class ContainerLogs:
    """One deployment's logs.

    Args:
        roles: `proxy`, `engine`, or both.
        clock: Monotonic seconds.
    """

    runtime: ContainerRuntime
    name: str
    roles: frozenset[str]
    clock: Callable[[], float] = time.monotonic
    _last_s: dict[str, float] = field(default_factory=dict)
    _shown_until_s: dict[str, float] = field(default_factory=dict)

    def tail(self, lines: int) -> Iterator[tuple[str, LogLine]]:
        """Yield the last lines of each container, by its name, oldest first within each."""
        for container in self._containers():
            found = parse_log(self.runtime.engine.log(container.name, tail=lines))
            for line in found:
                self._note(container.name, line)
                yield container.name, line

    def follow(self) -> Iterator[tuple[str, LogLine]]:
        """Yield new lines of every container as they come, until the deployment is gone.

        Containers that are started again, or that an update makes, are followed too.
        """
        pump = LogPump(self.runtime.engine)
        looked_s = float("-inf")
        try:
            while True:
                if self.clock() - looked_s >= _LOOK_S:
                    looked_s = self.clock()
                    containers = self._look()
                    if containers == ():
                        yield from self._rest(pump)
                        return
                    to_follow = [one.name for one in containers or () if one.is_running and pump.has_ended(one.name)]
                    # What is left of the life before, or the log would be read again from the line before it.
                    yield from self._new(pump.drain())
                    self._follow(pump, to_follow)
                pumped = pump.get(_WAIT_S)
                yield from self._new([] if pumped is None else [pumped])
        finally:
            pump.close()

    def _look(self) -> tuple[ObservedContainer, ...] | None:
        """Return the containers; None where the daemon cannot tell just now."""
        try:
            return self._containers()
        except (DaemonRefusedError, DockerUnavailableError):
            return None

    def _follow(self, pump: LogPump, names: Iterable[str]) -> None:
        # One that went away just now, or whose daemon did, is the next look's business.
        with contextlib.suppress(DaemonRefusedError, DockerUnavailableError):
            for name in names:
                # Docker's `since` takes lines of that very moment again.
                self._shown_until_s[name] = self._last_s.get(name, 0.0)
                pump.follow(name, since_s=self._last_s.get(name))

    def _rest(self, pump: LogPump) -> Iterator[tuple[str, LogLine]]:
        """Yield what the streams of containers that are gone still hold."""
        until_s = self.clock() + _REST_S
        is_over = False
        while not is_over and self.clock() < until_s:
            is_over = pump.is_over
            pumped = None if is_over else pump.get(_WAIT_S)
            yield from self._new([*([] if pumped is None else [pumped]), *pump.drain()])

    def _new(self, pumped: Iterable[PumpedLine]) -> Iterator[tuple[str, LogLine]]:
        for one in pumped:
            if self._is_new(one.container, one.line):
                self._note(one.container, one.line)
                yield one.container, one.line

    def _containers(self) -> tuple[ObservedContainer, ...]:
        seen = self.runtime.look(self.name)
        proxy = () if seen.proxy is None or "proxy" not in self.roles else (seen.proxy,)
        return (*proxy, *(seen.all_engines if "engine" in self.roles else ()))

    def _is_new(self, container: str, line: LogLine) -> bool:
        return line.at_s is None or line.at_s > self._shown_until_s.get(container, 0.0)

    def _note(self, container: str, line: LogLine) -> None:
        if line.at_s is not None:
            self._last_s[container] = max(line.at_s, self._last_s.get(container, 0.0))
