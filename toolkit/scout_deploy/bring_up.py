"""`up`: from a planned deployment to one that answered its first generation, or to the reason why not."""

import time
from collections.abc import Callable, Mapping

from scout_deploy.deployment import DeploymentSpec, DeploymentState, DeploymentStatus, Failure, Up, differences
from scout_deploy.errors import DeployError, DeploymentChangedError, EngineExitedError
from scout_deploy.live_change import change_live
from scout_deploy.port_check import check_port
from scout_deploy.processes import ProcessIdentity, is_alive
from scout_deploy.progress import Progress, Tell, Teller
from scout_deploy.proxy_settings import changes, service_level_settings, settings_of, started_settings
from scout_deploy.runtimes.process_runtime import Observation, ProcessRuntime

_POLL_S = 0.03
_PROBE_PERIOD_S = 1.0
_LOG_LINES = 8
_LIVE_STATES = (DeploymentState.STARTING, DeploymentState.READY, DeploymentState.RECOVERING)


def bring_up(
    runtime: ProcessRuntime,
    spec: DeploymentSpec,
    emit: Callable[[Progress], None],
    *,
    secret_files: Mapping[str, str] | None = None,
    may_replace: bool = False,
    check: Callable[[Tell], None] | None = None,
) -> Up:
    """Start the deployment and wait until it generated once. Ctrl-C takes back what was begun.

    Args:
        secret_files: What lies beside the route table, by name.
        may_replace: Change a running deployment whose proxy can take over what differs; without it that is an error.
        check: Refuses a start that cannot work, by raising; asked only where something is to be started.

    Raises:
        DeploymentBusyError: Another command is changing it.
        DeploymentChangedError: It runs already, with another profile.
        PortInUseError: Somebody else has the port.
        DeployError: The start failed; the class and exit status tell the cause. The deployment is left as `failed`.
    """
    tell = Teller(emit)
    with runtime.changing(spec.name, "up"):
        runs = _runs_already(runtime, spec, tell)
        is_changed = runs is not None and _change(
            runtime, spec, tell, secret_files=secret_files or {}, may_replace=may_replace
        )
        if runs is None:
            check_port(spec.host, spec.port, lambda port: _port_owner(runtime, spec.name, port))
            if check is not None:
                check(tell)
        elif runs.state is not DeploymentState.STARTING:
            if runs.state is DeploymentState.RECOVERING:
                tell("note", "a part of it died and is being started again; scout-deploy status shows which")
            return _up(spec, tell, was_running=not is_changed)
        try:
            # An earlier `up` may have been ended before it was ready; its supervisor goes on.
            supervisor = runtime.start(spec, secret_files) if runs is None else runs.supervisor
            _watch(runtime, spec, supervisor, tell)
        except KeyboardInterrupt:
            tell("note", "interrupted: taking the deployment down again")
            _take_back(runtime, spec.name)
            raise
    return _up(spec, tell, was_running=False)


def _up(spec: DeploymentSpec, tell: Teller, *, was_running: bool) -> Up:
    return Up(name=spec.name, profile=spec.profile, url=spec.url, was_running=was_running, elapsed_s=tell.elapsed_s)


def _take_back(runtime: ProcessRuntime, name: str) -> None:
    while True:
        try:
            runtime.stop(name)
        except KeyboardInterrupt:
            # A second Ctrl-C wants the same; half a stop would leave the declaration behind.
            continue
        return


def _runs_already(runtime: ProcessRuntime, spec: DeploymentSpec, tell: Tell) -> DeploymentStatus | None:
    """Return the status of a deployment that runs or starts as it should; clear away what is left of one that does not.

    Raises:
        DeploymentChangedError: It runs with settings that something has to be started again for.
    """
    if not runtime.store(spec.name).exists():
        return None
    seen = runtime.observe(spec.name)
    if seen.supervised and seen.status is not None and seen.status.state in _LIVE_STATES:
        if started := differences(_started(seen.spec), _started(spec)):
            raise DeploymentChangedError(
                f"deployment '{spec.name}' runs already, with other settings:",
                next_step=f"scout-deploy down {spec.name}, then up again",
                evidence=(*started, *changes(settings_of(seen.spec.routes), settings_of(spec.routes))),
            )
        return seen.status
    if (reason := _leftover(seen)) is not None:
        tell("note", reason)
    runtime.stop(spec.name)
    return None


def _started(spec: DeploymentSpec) -> dict[str, str]:
    """Return what a process would have to be started again for."""
    started = started_settings(spec.settings)
    return {key: value for key, value in started.items() if key not in service_level_settings(started)}


def _change(
    runtime: ProcessRuntime, spec: DeploymentSpec, tell: Tell, *, secret_files: Mapping[str, str], may_replace: bool
) -> bool:
    """Let the proxy take over what differs, if something does.

    Raises:
        DeploymentChangedError: Something does, and may not be changed.
    """
    store = runtime.store(spec.name)
    declared = store.read_spec()
    differing = (
        *differences(service_level_settings(declared.settings), service_level_settings(spec.settings)),
        *changes(settings_of(declared.routes), settings_of(spec.routes)),
    )
    if differing and not may_replace:
        raise DeploymentChangedError(
            f"deployment '{spec.name}' runs already, with other settings:",
            next_step="the same command with --replace applies them at once; nothing is started again",
            evidence=differing,
        )
    if differing:
        change_live(store, spec, secret_files, tell)
    return bool(differing)


def _leftover(seen: Observation) -> str | None:
    if seen.status is not None and seen.status.state is DeploymentState.FAILED:
        return "the last start failed; starting again"
    if seen.processes:
        return f"its supervisor is gone; ending the {len(seen.processes)} processes it left and starting again"
    return "it was not taken down, and is not running; starting again"


def _port_owner(runtime: ProcessRuntime, name: str, port: int) -> str | None:
    others = (one for one in runtime.names() if one != name)
    return next((one for one in others if _port_of(runtime, one) == port), None)


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
    tell: Tell,
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
