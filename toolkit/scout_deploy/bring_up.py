"""`up`: from a planned deployment to one that answered its first generation, or to the reason why not."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from scout_deploy.deployment import DeploymentSpec, DeploymentState, DeploymentStatus, Failure, differences
from scout_deploy.errors import DeployError, DeploymentChangedError, EngineExitedError, PortInUseError
from scout_deploy.processes import ProcessIdentity, is_alive, is_port_free, port_holder
from scout_deploy.runtimes.process_runtime import Observation, ProcessRuntime

_POLL_S = 0.03
_PROBE_PERIOD_S = 1.0
_LOG_LINES = 8
_LIVE_STATES = (DeploymentState.STARTING, DeploymentState.READY, DeploymentState.RECOVERING)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Something worth showing while a deployment starts.

    Args:
        phase: The phase that began, or `note` for a remark.
        elapsed_s: Seconds since `up` began.
    """

    phase: str
    detail: str | None
    elapsed_s: float


@dataclass(frozen=True, kw_only=True)
class Up:
    """A deployment that serves.

    Args:
        was_running: It served before, unchanged; nothing was done.
    """

    spec: DeploymentSpec
    was_running: bool
    elapsed_s: float


def bring_up(runtime: ProcessRuntime, spec: DeploymentSpec, emit: Callable[[Progress], None]) -> Up:
    """Start the deployment and wait until it generated once. Ctrl-C takes back what was begun.

    Raises:
        DeploymentBusyError: Another command is changing it.
        DeploymentChangedError: It runs already, with another profile.
        PortInUseError: Somebody else has the port.
        DeployError: The start failed; the class and exit status tell the cause. The deployment is left as `failed`.
    """
    began = time.monotonic()

    def tell(phase: str, detail: str | None = None) -> None:
        emit(Progress(phase=phase, detail=detail, elapsed_s=time.monotonic() - began))

    with runtime.changing(spec.name, "up"):
        if (runs := _runs_already(runtime, spec, tell)) is None:
            _check_port(runtime, spec)
        elif runs.state is not DeploymentState.STARTING:
            if runs.state is DeploymentState.RECOVERING:
                tell("note", "a part of it died and is being started again; scout-deploy status shows which")
            return Up(spec=spec, was_running=True, elapsed_s=time.monotonic() - began)
        try:
            # An earlier `up` may have been ended before it was ready; its supervisor goes on.
            supervisor = runtime.start(spec) if runs is None else runs.supervisor
            _watch(runtime, spec, supervisor, tell)
        except KeyboardInterrupt:
            tell("note", "interrupted: taking the deployment down again")
            _take_back(runtime, spec.name)
            raise
    return Up(spec=spec, was_running=False, elapsed_s=time.monotonic() - began)


def _take_back(runtime: ProcessRuntime, name: str) -> None:
    while True:
        try:
            runtime.stop(name)
        except KeyboardInterrupt:
            # A second Ctrl-C wants the same; half a stop would leave the declaration behind.
            continue
        return


def _runs_already(
    runtime: ProcessRuntime, spec: DeploymentSpec, tell: Callable[[str, str], None]
) -> DeploymentStatus | None:
    """Return the status of a deployment that runs or starts as it should; clear away what is left of one that does not.

    Raises:
        DeploymentChangedError: It runs with other settings.
    """
    if not runtime.store(spec.name).exists():
        return None
    seen = runtime.observe(spec.name)
    if seen.supervised and seen.status is not None and seen.status.state in _LIVE_STATES:
        if changed := differences(seen.spec.settings, spec.settings):
            raise DeploymentChangedError(
                f"deployment '{spec.name}' runs already, with other settings:",
                next_step=f"scout-deploy down {spec.name}, then up again",
                evidence=changed,
            )
        return seen.status
    if (reason := _leftover(seen)) is not None:
        tell("note", reason)
    runtime.stop(spec.name)
    return None


def _leftover(seen: Observation) -> str | None:
    if seen.status is not None and seen.status.state is DeploymentState.FAILED:
        return "the last start failed; starting again"
    if seen.processes:
        return f"its supervisor is gone; ending the {len(seen.processes)} processes it left and starting again"
    return "it was not taken down, and is not running; starting again"


def _check_port(runtime: ProcessRuntime, spec: DeploymentSpec) -> None:
    try:
        if is_port_free(spec.host, spec.port):
            return
    except OSError as exc:
        raise DeployError(
            f"cannot listen on {spec.host} port {spec.port}: {exc.strerror or exc}",
            next_step="choose an address of this machine with --set proxy.host=..., or another port with --port",
        ) from exc
    next_step = "stop that program, or choose another port: scout-deploy up --port PORT"
    for name in runtime.names():
        if name != spec.name and _port_of(runtime, name) == spec.port:
            next_step = f"scout-deploy down {name}, or choose another port: scout-deploy up --port PORT"
            break
    holder = port_holder(spec.port) or "a process that this user may not see"
    raise PortInUseError(f"port {spec.port} is taken by {holder}", next_step=next_step)


def _port_of(runtime: ProcessRuntime, name: str) -> int | None:
    try:
        return runtime.store(name).read_spec().port
    except DeployError:
        # Unreadable, and not what this start is about.
        return None


def _watch(
    runtime: ProcessRuntime,
    spec: DeploymentSpec,
    supervisor: ProcessIdentity | None,
    tell: Callable[[str, str | None], None],
) -> None:
    store = runtime.store(spec.name)
    shown = 0
    probe_s = time.monotonic() + _PROBE_PERIOD_S
    while True:
        status = store.read_status()
        phases = () if status is None else status.phases
        for phase in phases[shown:]:
            tell(phase.name, phase.detail)
        shown = len(phases)
        if status is not None and _is_settled(status):
            return
        if supervisor is None or not is_alive(supervisor):
            raise _supervisor_died(store.log("supervisor").read_text(encoding="utf-8", errors="replace"))
        if time.monotonic() >= probe_s:
            # What the supervisor has to say comes through files, and a full disk would keep it silent for ever.
            store.check_writable()
            probe_s = time.monotonic() + _PROBE_PERIOD_S
        time.sleep(_POLL_S)


def _is_settled(status: DeploymentStatus) -> bool:
    if status.failure is not None:
        raise failed_start(status.failure)
    return status.state is DeploymentState.READY


def failed_start(failure: Failure) -> DeployError:
    """Return the error of this failure, of the class that has its exit status."""
    kinds = {kind.exit_code: kind for kind in DeployError.__subclasses__()}
    evidence = failure.evidence
    if failure.evidence_file is not None:
        evidence = (*evidence, f"all of it: {failure.evidence_file}")
    kind = kinds.get(failure.exit_code, DeployError)
    return kind(failure.cause, next_step=failure.next_step, evidence=evidence)


def _supervisor_died(log: str) -> DeployError:
    return EngineExitedError(
        "the supervisor ended before the deployment was ready",
        next_step="scout-deploy up again; if it ends again, its log is what a report needs",
        evidence=tuple(log.splitlines()[-_LOG_LINES:]),
    )
