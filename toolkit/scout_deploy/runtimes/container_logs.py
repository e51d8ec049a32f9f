"""The logs of a deployment's containers: what is there, and what comes, through crashes and restarts."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from scout_deploy.containers.log_lines import LogLine, parse_log
from scout_deploy.containers.observed import ObservedContainer
from scout_deploy.errors import DockerUnavailableError
from scout_deploy.runtimes.container_runtime import ContainerRuntime
from scout_deploy.runtimes.docker_errors import DaemonRefusedError
from scout_deploy.runtimes.log_pump import LogPump

_LOOK_S = 1.0
_WAIT_S = 0.2


@dataclass
class ContainerLogs:
    """One deployment's logs.

    Args:
        roles: `proxy`, `engine`, or both.
    """

    runtime: ContainerRuntime
    name: str
    roles: frozenset[str]
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
                if time.monotonic() - looked_s >= _LOOK_S:
                    looked_s = time.monotonic()
                    if not self._follow_all(pump):
                        yield from ((one.container, one.line) for one in pump.drain())
                        return
                pumped = pump.get(_WAIT_S)
                if pumped is not None and self._is_new(pumped.container, pumped.line):
                    self._note(pumped.container, pumped.line)
                    yield pumped.container, pumped.line
        finally:
            pump.close()

    def _follow_all(self, pump: LogPump) -> bool:
        try:
            containers = self._containers()
            for one in containers:
                if one.is_running and pump.has_ended(one.name):
                    # Docker's `since` takes lines of that very moment again.
                    self._shown_until_s[one.name] = self._last_s.get(one.name, 0.0)
                    pump.follow(one.name, since_s=self._last_s.get(one.name))
        except (DaemonRefusedError, DockerUnavailableError):
            # It went away just now, or the daemon did; the next look tells.
            return True
        return bool(containers)

    def _containers(self) -> tuple[ObservedContainer, ...]:
        seen = self.runtime.look(self.name)
        proxy = () if seen.proxy is None or "proxy" not in self.roles else (seen.proxy,)
        return (*proxy, *(seen.all_engines if "engine" in self.roles else ()))

    def _is_new(self, container: str, line: LogLine) -> bool:
        return line.at_s is None or line.at_s > self._shown_until_s.get(container, 0.0)

    def _note(self, container: str, line: LogLine) -> None:
        if line.at_s is not None:
            self._last_s[container] = max(line.at_s, self._last_s.get(container, 0.0))
