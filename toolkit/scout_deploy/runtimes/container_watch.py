"""Watches the engines of one start until they all serve, or until one of them will not."""

import http.client
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from scout_deploy.containers.deployment import ContainerDeployment
from scout_deploy.containers.log_lines import parse_log
from scout_deploy.containers.observed import ObservedContainer
from scout_deploy.containers.spec import ContainerSpec
from scout_deploy.diagnosis.death import Death
from scout_deploy.engines.adapter import StartPhase
from scout_deploy.engines.container_engine import ContainerEngine
from scout_deploy.errors import DockerUnavailableError
from scout_deploy.progress import Tell
from scout_deploy.runtimes.docker_engine import DockerEngine
from scout_deploy.runtimes.docker_errors import NotThereError
from scout_deploy.runtimes.log_pump import LogPump
from scout_deploy.runtimes.proxy_link import ProxyLink
from scout_deploy.runtimes.route_board import RouteBoard

KEPT_LINES = 200
READY = "ready"
_LOOK_S = 0.5
_LINE_WAIT_S = 0.2
_ASK_TIMEOUT_S = 5.0
_DAEMON_PATIENCE_S = 180.0
_DAEMON_RETRY_S = 1.0


class EngineDiedError(Exception):
    """An engine ended, or was not ready in time. `death` has what is known of it."""

    def __init__(self, container: str, death: Death) -> None:
        super().__init__(container)
        self.container = container
        self.death = death


@dataclass
class _Engine:
    spec: ContainerSpec
    last_sign_s: float
    phase: StartPhase = field(default_factory=lambda: StartPhase(name="start"))
    lines: list[str] = field(default_factory=list)
    is_serving: bool = False
    was_stalled: bool = False
    was_ready: bool = False


class ContainerWatch:
    """One start.

    Args:
        board: Told of every phase.
        estimate_s: How long earlier starts of these engines took, where there were any.
        on_running: Called once for each engine, when its container runs.
        on_stall: Called once for each silence, with what is known; returns its likely reason, or None.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        engine: DockerEngine,
        deployment: ContainerDeployment,
        adapter: ContainerEngine,
        *,
        link: ProxyLink,
        board: RouteBoard,
        tell: Tell,
        estimate_s: float | None,
        on_running: Callable[[ContainerSpec], None],
        on_stall: Callable[[Death], str | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._docker = engine
        self._deployment = deployment
        self._adapter = adapter
        self._link = link
        self._board = board
        self._tell = tell
        self._estimate_s = estimate_s
        self._on_running = on_running
        self._on_stall = on_stall
        self._clock = clock
        self._began_s = clock()
        self._engines = {spec.name: _Engine(spec, self._began_s) for spec in deployment.engines}
        self._seen_running: set[str] = set()
        self._lost_daemon = False
        self._pump = LogPump(engine)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the watch began."""
        return self._clock() - self._began_s

    def run(self) -> None:
        """Return when the proxy has seen every engine generate.

        Raises:
            EngineDiedError: One will not serve.
            DockerUnavailableError: The daemon went away and did not come back.
        """
        try:
            while not all(one.is_serving for one in self._engines.values()):
                self._survive_daemon(self._look)
                self._read_lines(until_s=self._clock() + _LOOK_S)
                self._check_time()
        finally:
            self._pump.close()

    def _look(self) -> None:
        for name, one in self._engines.items():
            seen = self._docker.inspect(name)
            if seen.has_ended:
                raise EngineDiedError(name, self._death(one, seen))
            if seen.is_running:
                self._pump.follow(name)
                if name not in self._seen_running:
                    self._seen_running.add(name)
                    self._on_running(one.spec)
        self._ask_proxy()
        self._board.flush_if_due()

    def _survive_daemon(self, look: Callable[[], None]) -> None:
        deadline_s: float | None = None
        while True:
            try:
                look()
            except DockerUnavailableError:
                self._lost_daemon = True
                if deadline_s is None:
                    self._tell("note", "the Docker daemon does not answer; waiting for it")
                    deadline_s = self._clock() + _DAEMON_PATIENCE_S
                if self._clock() >= deadline_s:
                    raise
                time.sleep(_DAEMON_RETRY_S)
                continue
            except EngineDiedError:
                # A daemon that stops ends its containers, and with policy `no` it does not start them again.
                if not self._lost_daemon:
                    raise
                self._lost_daemon = False
                self._start_again()
                continue
            self._lost_daemon = False
            return

    def _start_again(self) -> None:
        self._tell("note", "the Docker daemon was restarted, which ended the engines; starting them again")
        for name, one in self._engines.items():
            if self._docker.inspect(name).has_ended:
                self._docker.start(name)
                one.phase, one.last_sign_s = StartPhase(name="start"), self._clock()

    def _ask_proxy(self) -> None:
        if not any(one.was_ready for one in self._engines.values()):
            return
        for name, state in self._observed_by_proxy().items():
            if name in self._engines and state == "serving":
                self._engines[name].is_serving = True

    def _observed_by_proxy(self) -> Mapping[str, str]:
        try:
            answer = self._link.ask("/status", timeout_s=_ASK_TIMEOUT_S)
        except (OSError, http.client.HTTPException):
            # It is starting, or was restarted; its own death is the deployment's business, not the engines'.
            return {}
        upstreams: Sequence[Mapping[str, str]] = (
            answer.body.get("upstreams", ()) if isinstance(answer.body, dict) else ()
        )
        return {one["id"]: one["observed"] for one in upstreams}

    def _read_lines(self, until_s: float) -> None:
        while (left_s := until_s - self._clock()) > 0:
            pumped = self._pump.get(min(left_s, _LINE_WAIT_S))
            if pumped is not None:
                self._take(self._engines[pumped.container], pumped.line.text)

    def _take(self, one: _Engine, line: str) -> None:
        one.lines.append(line)
        del one.lines[:-KEPT_LINES]
        one.last_sign_s = self._clock()
        one.was_stalled = False
        phase = self._adapter.read_phase(line)
        if phase is None:
            return
        one.phase = phase
        if phase.name == READY:
            one.was_ready = True
            return
        estimate_s = None if self._estimate_s is None else max(0.0, self._estimate_s - self.elapsed_s)
        part = f"engine {one.spec.replica}" if len(self._engines) > 1 else None
        self._tell(phase.name, phase.detail, percent=phase.percent, estimate_s=estimate_s, part=part)
        try:
            self._board.phase(one.spec.name, phase, estimate_s)
        except DockerUnavailableError:
            # The next look waits for the daemon, and the board then writes what it has.
            self._lost_daemon = True

    def _check_time(self) -> None:
        for name, one in self._engines.items():
            if one.is_serving:
                continue
            silent_s = self._clock() - one.last_sign_s
            if silent_s >= self._deployment.stall_after_s and not one.was_stalled:
                one.was_stalled = True
                self._say_stall(one, silent_s)
            if self.elapsed_s >= self._deployment.start_timeout_s:
                raise EngineDiedError(name, self._unfinished(one, timed_out=True, silent_s=silent_s))

    def _say_stall(self, one: _Engine, silent_s: float) -> None:
        reason = self._on_stall(self._unfinished(one, silent_s=silent_s))
        text = f"stalled: {one.spec.name} wrote nothing for {silent_s:.0f} s in the phase '{one.phase.name}'"
        self._tell("note", f"{text}; {reason}" if reason else text)

    def _unfinished(self, one: _Engine, *, timed_out: bool = False, silent_s: float) -> Death:
        return Death(
            exit_code=None, lines=tuple(one.lines), phase=one.phase.name, timed_out=timed_out, silent_s=silent_s
        )

    def _death(self, one: _Engine, seen: ObservedContainer) -> Death:
        lines = last_lines(self._docker, seen.name)
        return Death(
            exit_code=seen.exit_code,
            oom_killed=seen.oom_killed,
            error=seen.error,
            lines=lines or tuple(one.lines),
            phase=self._last_phase(lines) or one.phase.name,
            was_ready=one.was_ready,
        )

    def _last_phase(self, lines: tuple[str, ...]) -> str | None:
        phases = [phase.name for line in lines if (phase := self._adapter.read_phase(line)) is not None]
        return phases[-1] if phases else None


def last_lines(engine: DockerEngine, container: str) -> tuple[str, ...]:
    """Return the last lines of a container's log, its end included; none where the container is gone."""
    try:
        return tuple(line.text for line in parse_log(engine.log(container, tail=KEPT_LINES)))
    except NotThereError:
        return ()
