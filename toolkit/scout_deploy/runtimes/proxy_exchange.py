"""The proxy's own exchange: for another port, another image, or settings that it alone has.

Two proxies cannot have one port. The old one finishes what it accepted and ends, then the new one starts; meanwhile the
port is closed, which is said beforehand. Whatever fails, or interrupts it, the old one serves again.
"""

import http.client
import time

from scout_deploy.containers import labels
from scout_deploy.containers.deployment import ContainerDeployment, Names
from scout_deploy.containers.observation import ContainerObservation
from scout_deploy.containers.observed import ObservedContainer
from scout_deploy.errors import DeployError, ReplaceFailedError
from scout_deploy.port_check import check_port
from scout_deploy.progress import Tell
from scout_deploy.runtimes.container_runtime import ContainerRuntime
from scout_deploy.runtimes.container_watch import last_lines
from scout_deploy.runtimes.proxy_wait import wait_idle, wait_serving
from scout_proxy.route_table import RouteTable, UpstreamState

# A slow disk, or a busy machine, takes half a minute for the imports of the new one.
_ANSWER_S = 60.0
_POLL_S = 0.1
_STOP_MARGIN_S = 10
_SHOWN_LINES = 8


def is_other_proxy(seen: ContainerObservation, new: ContainerDeployment) -> bool:
    """Tell whether the plan's proxy is another one than the one that runs."""
    return seen.proxy is None or seen.proxy.labels.get(labels.CONFIG) != new.proxy.fingerprint()


def check_new_port(runtime: ContainerRuntime, seen: ContainerObservation, host: str, port: int) -> None:
    """Return where the proxy may be published there: it is now, or the port is free.

    Raises:
        PortInUseError: Somebody else listens there.
    """
    own = {} if seen.proxy is None else seen.proxy.labels
    # On another machine only its daemon can tell, when the proxy starts.
    if (own.get(labels.HOST), own.get(labels.PORT)) != (host, str(port)) and runtime.engine.address.is_local:
        check_port(host, port, runtime.port_owner)


def exchange_proxy(runtime: ContainerRuntime, seen: ContainerObservation, new: ContainerDeployment, tell: Tell) -> None:
    """Put the plan's proxy in the place of the one that runs; the engines stay.

    Raises:
        ReplaceFailedError: The new proxy does not answer; the old one does again.
    """
    old = seen.proxy
    routes = runtime.routes(seen.name)
    table = routes.read()
    if old is None or table is None:
        raise DeployError(
            f"deployment '{seen.name}' has no proxy to exchange", next_step=f"scout-deploy down {seen.name}, then up"
        )
    tell("proxy", "exchanged; new requests are refused until the old one has finished what it accepted")
    patient = _patient(table)
    routes.write(patient)
    wait_idle(runtime.link(seen), (), patient.revision, timeout_s=_ANSWER_S)
    try:
        runtime.engine.stop(old.id, timeout_s=int(patient.limits.drain_s) + _STOP_MARGIN_S)
        runtime.engine.rename(old.id, _parked(old.name))
        _start(runtime, new, patient)
    except KeyboardInterrupt:
        tell("note", "interrupted: going back to the old proxy")
        _go_back(runtime, old, table)
        raise
    except (DeployError, OSError) as exc:
        said = _go_back(runtime, old, table)
        raise ReplaceFailedError(
            f"the new proxy does not work: {exc}; the old one serves",
            next_step="correct what the proxy's keys of the profile say, then the same command again",
            evidence=said,
        ) from exc
    runtime.engine.remove(old.id)


def settle_proxy(runtime: ContainerRuntime, seen: ContainerObservation, tell: Tell) -> bool:
    """Bring back a proxy that ended by an operator's word, or whose exchange was interrupted.

    Returns:
        Whether one was started.
    """
    docker, name = runtime.engine, Names(deployment=seen.name).proxy
    named = next((one for one in seen.proxies if one.name == name), None)
    parked = [one for one in seen.proxies if one.name != name]
    if named is not None and named.is_running:
        for one in parked:
            docker.remove(one.id)
        return False
    tell("note", "the proxy does not run; starting it again")
    if parked:
        # The one that never got to run may be what the interruption was about.
        if named is not None:
            docker.remove(named.id)
        docker.rename(parked[0].id, name)
        named = parked[0]
    if named is not None:
        docker.start(named.id)
    return named is not None


def _patient(table: RouteTable) -> RouteTable:
    """Let the proxy finish, when it is stopped, every request that it accepted."""
    limits = table.limits.model_copy(update={"drain_s": max(table.limits.drain_s, table.limits.deadline_s)})
    return table.model_copy(update={"revision": table.revision + 1, "limits": limits})


def _parked(name: str) -> str:
    return f"{name}-old"


def _go_back(runtime: ContainerRuntime, old: ObservedContainer, table: RouteTable) -> tuple[str, ...]:
    """Let the old proxy serve again, and return what the new one said last."""
    docker, name = runtime.engine, old.labels[labels.DEPLOYMENT]
    said: tuple[str, ...] = ()
    # By label: a name alone may be somebody else's.
    for one in runtime.look(name).proxies:
        if one.id != old.id:
            said = last_lines(docker, one.id)[-_SHOWN_LINES:]
            docker.remove(one.id)
    if docker.inspect(old.id).name != old.name:
        docker.rename(old.id, old.name)
    before = table.model_copy(update={"revision": table.revision + 3})
    runtime.routes(name).write(before)
    docker.start(old.id)
    wait_serving(runtime.link(runtime.look(name)), _running(before), before.revision, timeout_s=_ANSWER_S)
    return said


def _start(runtime: ContainerRuntime, new: ContainerDeployment, table: RouteTable) -> None:
    container = runtime.engine.create(new.proxy, network=new.names.network)
    fresh = new.routes.model_copy(
        update={"revision": table.revision + 1, "upstreams": table.upstreams, "serving": table.serving}
    )
    runtime.routes(new.name).write(fresh)
    runtime.engine.start(container)
    link = runtime.link_to(new.name, new.host, new.port)
    deadline_s = time.monotonic() + _ANSWER_S
    while True:
        try:
            link.ask("/status", timeout_s=_ANSWER_S)
        except (OSError, http.client.HTTPException) as exc:
            if time.monotonic() >= deadline_s or runtime.engine.inspect(container).has_ended:
                raise ConnectionError(f"it does not answer: {exc}") from exc
            time.sleep(_POLL_S)
            continue
        break
    # An engine that was ill before is no fault of the new proxy.
    wait_serving(link, _running(fresh), fresh.revision, timeout_s=_ANSWER_S)


def _running(table: RouteTable) -> tuple[str, ...]:
    return tuple(one.id for one in table.upstreams if one.state is UpstreamState.RUNNING)
