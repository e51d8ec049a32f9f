"""`up` for containers: from a prepared plan to a first generation, or to the reason why not.

The first `up` of a deployment; the exchange of a running one is `replacement`.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping

from scout_deploy.containers import labels
from scout_deploy.containers.deployment import ContainerDeployment
from scout_deploy.containers.observation import ContainerObservation
from scout_deploy.deployment import DeploymentState, Up, reachable_url
from scout_deploy.diagnosis.death import Death
from scout_deploy.errors import (
    DeployError,
    DeploymentChangedError,
    DockerUnavailableError,
    EngineExitedError,
    NameConflictError,
)
from scout_deploy.port_check import check_port
from scout_deploy.progress import Progress, Teller
from scout_deploy.runtimes.container_runtime import ContainerRuntime
from scout_deploy.runtimes.container_watch import EngineDiedError
from scout_deploy.runtimes.docker_errors import DaemonRefusedError, NameTakenError
from scout_deploy.runtimes.engine_gate import EngineGate
from scout_deploy.runtimes.engine_start import EngineStart, name_conflict
from scout_deploy.runtimes.first_generation import FirstGenerationError, first_generation
from scout_deploy.runtimes.live_change import live_changes, started_changes
from scout_deploy.runtimes.preparation import Preparation
from scout_deploy.runtimes.replacement import finish_interrupted, replace, tell_of_no_gate
from scout_deploy.runtimes.route_board import RouteBoard, TellBoth
from scout_proxy.route_table import UpstreamState

_FIRST_GENERATION_S = 120.0


def bring_up_containers(
    runtime: ContainerRuntime,
    preparation: Preparation,
    emit: Callable[[Progress], None],
    *,
    may_replace: bool = False,
    gate: EngineGate | None = None,
) -> Up:
    """Start the deployment and wait until it generated once. Ctrl-C takes back what was begun.

    Args:
        may_replace: Exchange a running deployment with other settings; without it that is an error.
        gate: What engines that are exchanged have to pass.

    Raises:
        DeploymentBusyError: Another command is changing it.
        DeploymentChangedError: It runs already, with another profile.
        DeployError: The start failed; the class and exit status tell the cause. The deployment is left as `failed`.
    """
    tell = Teller(emit)
    name = preparation.name
    with runtime.changing(name, "up"):
        seen = runtime.look(name)
        state = seen.state
        if state in {DeploymentState.READY, DeploymentState.RECOVERING}:
            was_running = not _replaced(runtime, preparation, seen, tell, may_replace=may_replace, gate=gate)
            return _up(preparation, tell, was_running=was_running)
        tell_of_no_gate(gate, tell)
        is_starting = state is DeploymentState.STARTING and not (
            started_changes(preparation, seen) or live_changes(preparation, runtime.routes(name).read())
        )
        if not is_starting:
            _clear(runtime, seen, tell)
        try:
            if not is_starting:
                _check_port(runtime, preparation)
            _start(runtime, preparation, seen, tell, is_starting=is_starting)
        except KeyboardInterrupt:
            _take_back(runtime, name, tell)
            raise
    return _up(preparation, tell, was_running=False)


def _up(preparation: Preparation, tell: Teller, *, was_running: bool) -> Up:
    return Up(
        name=preparation.name,
        profile=preparation.profile,
        url=reachable_url(preparation.host, preparation.port),
        was_running=was_running,
        elapsed_s=tell.elapsed_s,
    )


def _replaced(
    runtime: ContainerRuntime,
    preparation: Preparation,
    seen: ContainerObservation,
    tell: Teller,
    *,
    may_replace: bool,
    gate: EngineGate | None,
) -> bool:
    started, live = started_changes(preparation, seen), live_changes(preparation, runtime.routes(seen.name).read())
    if not started and not live:
        finish_interrupted(runtime, seen, tell)
        tell_of_no_gate(gate, tell)
        return False
    if not may_replace and not seen.is_of_compose:
        how = "exchanges it without losing a request" if started else "applies them at once; nothing is started again"
        raise DeploymentChangedError(
            f"deployment '{seen.name}' runs already, with other settings:",
            next_step=f"the same command with --replace {how}",
            evidence=(*started, *live),
        )
    if seen.is_of_compose:
        raise DeploymentChangedError(
            f"deployment '{seen.name}' was started by Docker Compose, with other settings; its file has to change:",
            next_step="scout-deploy render compose --force, then docker-compose up -d in its folder",
            evidence=(*started, *live),
        )
    replace(runtime, preparation, seen, tell, gate)
    return True


def _clear(runtime: ContainerRuntime, seen: ContainerObservation, tell: Teller) -> None:
    if seen.is_empty:
        return
    if seen.state is DeploymentState.FAILED:
        tell("note", "the last start failed; starting again")
    else:
        tell("note", "an earlier start was interrupted or changed; clearing away what it left and starting again")
    runtime.stop(seen.name)


def _take_back(runtime: ContainerRuntime, name: str, tell: Teller) -> None:
    is_told = False
    while True:
        try:
            if not is_told:
                is_told = True
                tell("note", "interrupted: taking the deployment down again")
            runtime.stop(name)
        except KeyboardInterrupt:
            # A second Ctrl-C wants the same; half a removal would leave containers behind.
            continue
        return


def _start(
    runtime: ContainerRuntime,
    preparation: Preparation,
    seen: ContainerObservation,
    tell: Teller,
    *,
    is_starting: bool,
) -> None:
    sketch = preparation.sketch(seen.generation if is_starting else 1, seen, tell, beside=False)
    routes = runtime.routes(sketch.name)
    board = RouteBoard((routes.read() if is_starting else None) or sketch.routes, routes.write, time.monotonic)
    start = preparation.start(sketch, board, tell)
    try:
        if not is_starting:
            # First, so that clients can be told how far the rest is.
            tell("start proxy", sketch.proxy.name)
            _create_proxy(runtime, sketch, board, preparation.secret_files)
        else:
            routes.write_secrets(preparation.secret_files)
        plan = preparation.plan(sketch, seen, TellBoth(tell, board), beside=False)
        start = preparation.start(plan, board, tell)
        if not is_starting:
            tell("start", f"{len(plan.engines)} engine(s)")
            board.restore(plan.routes.model_copy(update={"upstreams": plan.upstreams()}), None)
            start.create()
        took_s = start.wait()
        tell("first generation")
        _first_generation(start)
        start.keep(took_s)
        board.state(UpstreamState.RUNNING)
        start.measure()
    except EngineDiedError as exc:
        error = start.explain(exc, preparation.profile)
        _give_up(runtime, sketch.name, board, error)
        raise error from exc
    except NameConflictError:
        runtime.stop(sketch.name)
        raise
    except DeployError as exc:
        _give_up(runtime, sketch.name, board, exc)
        raise


def _create_proxy(
    runtime: ContainerRuntime, deployment: ContainerDeployment, board: RouteBoard, secret_files: Mapping[str, str]
) -> None:
    docker, names = runtime.engine, deployment.names
    own = {labels.DEPLOYMENT: deployment.name}
    if docker.network_labels(names.network) is not None:
        raise name_conflict("network", names.network)
    if docker.volume_labels(names.routes_volume) is not None:
        raise name_conflict("volume", names.routes_volume)
    docker.create_network(names.network, own)
    docker.create_volume(names.routes_volume, own)
    try:
        container = docker.create(deployment.proxy, network=names.network)
        runtime.routes(deployment.name).write_secrets(secret_files)
        board.declare(deployment.upstreams())
        docker.start(container)
    except NameTakenError as exc:
        raise name_conflict("container", names.proxy) from exc
    except DaemonRefusedError as exc:
        raise EngineDiedError(names.proxy, Death(exit_code=None, error=exc.reason, phase="start")) from exc


def _first_generation(start: EngineStart) -> None:
    deadline_s = time.monotonic() + _FIRST_GENERATION_S
    try:
        first_generation(start.link.ask, deadline_s=deadline_s, stop=threading.Event())
    except FirstGenerationError as exc:
        raise EngineExitedError(
            str(exc), next_step="scout-deploy logs shows what the proxy and the engines wrote"
        ) from exc


def _give_up(runtime: ContainerRuntime, name: str, board: RouteBoard, error: DeployError) -> None:
    """Leave the deployment as failed: engines stopped, the proxy answering 503; nothing, where there is no proxy."""
    seen = runtime.look(name)
    if seen.proxy is None or not seen.proxy.is_running:
        runtime.stop(name)
        return
    with contextlib.suppress(DaemonRefusedError, DockerUnavailableError):
        board.failed(error.message)
    for one in seen.all_engines:
        with contextlib.suppress(DaemonRefusedError):
            runtime.engine.restart_never(one.id)
    runtime.stop_containers(*seen.all_engines, remove=False)


def _check_port(runtime: ContainerRuntime, preparation: Preparation) -> None:
    # On another machine only its daemon can tell, when the proxy starts.
    if runtime.engine.address.is_local:
        check_port(preparation.host, preparation.port, runtime.port_owner)
