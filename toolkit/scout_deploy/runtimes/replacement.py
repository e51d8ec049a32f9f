"""`up --replace`: the engines of a running deployment are exchanged, and no request that was accepted is lost.

Blue-green, where the new engines have GPUs of their own: start beside, prove, switch the route table, drain, stop the
old. Hold and swap, where they have not: requests wait in the proxy, the old engines drain and stop, the new ones start
and prove themselves, the requests go on. Whatever fails, the old engines serve again.
"""

import time

from scout_deploy.containers.deployment import ContainerDeployment
from scout_deploy.containers.observation import ContainerObservation, generation_of
from scout_deploy.deployment import changed_keys, reachable_url
from scout_deploy.errors import DeployError, EngineExitedError, GateMissedError, ReplaceFailedError
from scout_deploy.progress import Tell
from scout_deploy.runtimes.container_runtime import ContainerRuntime
from scout_deploy.runtimes.container_watch import EngineDiedError
from scout_deploy.runtimes.engine_exchange import OLD_START_S, WAY_BACK_MARGIN_S, Exchange, in_state
from scout_deploy.runtimes.engine_gate import EngineGate
from scout_deploy.runtimes.hold_check import check_hold
from scout_deploy.runtimes.live_change import change_live, readable_table, started_changes
from scout_deploy.runtimes.preparation import Preparation
from scout_deploy.runtimes.proxy_exchange import check_new_port, exchange_proxy, is_other_proxy, settle_proxy
from scout_deploy.runtimes.proxy_wait import wait_serving
from scout_deploy.runtimes.route_board import RouteBoard
from scout_proxy.route_table import RouteTable, Upstream, UpstreamState

# What an engine's container is made of; everything else of a profile is the proxy's.
_ENGINE_KEYS = ("engine/", "model/", "hardware/", "replicas", "proxy/limits/max_body_bytes")


def replace(
    runtime: ContainerRuntime,
    preparation: Preparation,
    seen: ContainerObservation,
    tell: Tell,
    gate: EngineGate | None = None,
) -> None:
    """Exchange what differs of a running deployment: its engines, its proxy, both, or only what its proxy is told.

    Args:
        gate: What new engines have to pass.

    Raises:
        GateMissedError: The new engines missed the service level; the old ones serve again.
        ReplaceFailedError: The new engines did not work; the old ones serve again.
        DeployError: It cannot be tried; nothing was changed.
    """
    finish_interrupted(runtime, seen, tell)
    seen = runtime.look(seen.name)
    if not started_changes(preparation, seen):
        tell_of_no_gate(gate, tell)
        change_live(runtime, preparation, seen, tell)
        return
    before = readable_table(runtime, seen)
    # Before anything is exchanged: half an exchange is worse than none.
    check_new_port(runtime, seen, preparation.host, preparation.port)
    changed = changed_keys(seen.settings, preparation.settings)
    engines_differ = any(key.startswith(_ENGINE_KEYS) for key in changed)
    if not engines_differ:
        tell_of_no_gate(gate, tell)
    beside = engines_differ and preparation.runs_beside(seen)
    generation = max(map(generation_of, seen.all_engines)) + engines_differ
    sketch = preparation.sketch(generation, seen, tell, beside=beside)
    new = preparation.plan(sketch, seen, tell, beside=beside)
    runtime.routes(seen.name).write_secrets(preparation.secret_files)
    if engines_differ:
        exchange = _exchange_of(
            runtime=runtime,
            preparation=preparation,
            seen=seen,
            before=before,
            new=new,
            tell=tell,
            beside=beside,
            gate=gate,
        )
        _exchange(exchange, preparation, beside=beside)
    if not engines_differ or is_other_proxy(seen, new):
        exchange_proxy(runtime, seen, new, tell)
    runtime.routes(seen.name).forget_others(new.routes)


def _exchange_of(
    *,
    runtime: ContainerRuntime,
    preparation: Preparation,
    seen: ContainerObservation,
    before: RouteTable,
    new: ContainerDeployment,
    tell: Tell,
    beside: bool,
    gate: EngineGate | None,
) -> Exchange:
    board = RouteBoard(before, runtime.routes(seen.name).write, time.monotonic)
    start = preparation.start(new, board, tell)
    if not beside:
        gate_s = 0.0 if gate is None else gate.shortest_s + WAY_BACK_MARGIN_S
        check_hold(start.estimate_s, preparation.max_hold_s, before.limits.deadline_s, gate_s=gate_s)
    return Exchange(
        runtime=runtime,
        old=seen.engines,
        before=before,
        new=new,
        board=board,
        start=start,
        link=runtime.link(seen),
        tell=tell,
        max_hold_s=preparation.max_hold_s,
        url=seen.url or reachable_url(preparation.host, preparation.port),
        gate=gate,
    )


def _exchange(exchange: Exchange, preparation: Preparation, *, beside: bool) -> None:
    try:
        if beside:
            exchange.blue_green()
        else:
            exchange.hold_and_swap()
    except EngineDiedError as exc:
        error = exchange.start.explain(exc, preparation.profile, replaces=True)
        serve = _gone_back(exchange, "the new engines do not work; going back to the old ones")
        raise _failed(error, serve=serve) from exc
    except DeployError as exc:
        raise _failed(exc, serve=_gone_back(exchange, "going back to the old engines")) from exc
    except KeyboardInterrupt:
        _gone_back(exchange, "interrupted: going back to the old engines")
        raise
    exchange.finish()
    exchange.start.measure()


def _gone_back(exchange: Exchange, why: str) -> bool:
    is_told = False
    while True:
        try:
            if not is_told:
                is_told = True
                exchange.tell("note", why)
            return exchange.go_back()
        except KeyboardInterrupt:
            # Another Ctrl-C wants the same; half a way back would leave requests waiting for engines that are gone.
            continue


def _failed(error: DeployError, *, serve: bool) -> DeployError:
    after = "the old engines serve" if serve else "the old engines were started again, and do not serve yet"
    kind = GateMissedError if isinstance(error, GateMissedError) else ReplaceFailedError
    return kind(f"{error.message}; {after}", next_step=error.next_step, evidence=error.evidence)


def tell_of_no_gate(gate: EngineGate | None, tell: Tell) -> None:
    """Say that nothing is measured, where somebody asked for it and no engine is exchanged."""
    if gate is not None:
        tell("note", "no engine is exchanged, so none is measured: there is nothing to pass the gate")


def finish_interrupted(runtime: ContainerRuntime, seen: ContainerObservation, tell: Tell) -> None:
    """Bring a deployment whose update, or whose host, was interrupted to one proxy and one set of engines that serves.

    Raises:
        EngineExitedError: What had ended was started again, and does not serve.
    """
    for one in seen.errands:
        runtime.engine.remove(one.id)
    was_settled = settle_proxy(runtime, seen, tell)
    if was_settled:
        seen = runtime.look(seen.name)
    routes = runtime.routes(seen.name)
    table = routes.read()
    ended = [one for one in seen.engines if one.has_ended]
    wanted = {one.name for one in seen.engines}
    declared = set() if table is None else {one.id for one in table.upstreams if one.state is UpstreamState.RUNNING}
    is_as_declared = (
        not seen.other_engines
        and not ended
        and (table is None or (not table.hold and not table.trial and declared == wanted))
    )
    if is_as_declared and not was_settled:
        if not all(one.is_running for one in seen.engines):
            tell("note", "an engine died and is being started again; scout-deploy status shows which")
        return
    revision = 0 if table is None else table.revision
    if not is_as_declared:
        tell("note", "an earlier change was interrupted; finishing it")
        if not ended and table is not None:
            # Traffic first, then what nobody needs.
            _declare_engines(runtime, seen, table)
        runtime.stop_containers(*seen.other_engines)
        for one in ended:
            runtime.engine.start(one.name)
        if ended and table is not None:
            revision = _declare_engines(runtime, seen, table)
            tell("start", "the engines that had ended")
    if (ended or was_settled) and not wait_serving(runtime.link(seen), wanted, revision, timeout_s=OLD_START_S):
        raise EngineExitedError(
            f"what had ended of deployment '{seen.name}' was started again, and does not serve after {OLD_START_S:g} s",
            next_step=f"scout-deploy diagnose {seen.name}, or scout-deploy logs {seen.name}",
        )


def _declare_engines(runtime: ContainerRuntime, seen: ContainerObservation, table: RouteTable) -> int:
    known = {one.id: one for one in table.upstreams}
    port = next((one.url.rpartition(":")[2] for one in table.upstreams), "8080")
    upstreams = (known.get(one.name, Upstream(id=one.name, url=f"http://{one.name}:{port}")) for one in seen.engines)
    board = RouteBoard(table, runtime.routes(seen.name).write, time.monotonic)
    board.declare(in_state(tuple(upstreams), UpstreamState.RUNNING))
    return board.table.revision
