"""What GET /status says: declared and observed state side by side. Typed, so that /openapi.json declares it."""

from collections.abc import Callable
from time import monotonic

from pydantic import BaseModel

from scout_proxy.engine import EngineFacts
from scout_proxy.observed_upstream import ObservedState, ObservedUpstream
from scout_proxy.route_table import Identity, Limits, Phase, PromptFormat, Serving, UpstreamState
from scout_proxy.route_watcher import RouteWatcher
from scout_proxy.upstream_pool import ServiceState, UpstreamPool
from scout_proxy.version import __version__


class RouteTableStatus(BaseModel):
    """Which table is served, and why a newer one or its template is not."""

    revision: int
    reload_error: str | None
    template_error: str | None


class Capacity(BaseModel):
    """What the engine itself says it takes, in tokens."""

    max_input_tokens: int
    max_total_tokens: int
    max_stop_sequences: int | None
    model_id: str | None
    version: str | None


class UpstreamStatus(BaseModel):
    """One upstream. `declared` is the toolkit's word, `observed` what the proxy's own probes and requests show."""

    id: str
    url: str
    protocol: str
    declared: UpstreamState
    phase: Phase | None
    observed: ObservedState
    reason: str | None
    in_flight: int
    capacity: Capacity | None


class Status(BaseModel):
    """Body of `GET /status`. `percent` and `estimate_s` are of the start that is nearest to its end."""

    status: ServiceState
    phase: str | None
    percent: float | None
    estimate_s: float | None
    uptime_s: float
    version: str
    deployment: str
    profile: str
    identity: Identity
    serving: Serving
    prompt_format: PromptFormat
    limits: Limits
    in_flight: int
    route_table: RouteTableStatus
    upstreams: list[UpstreamStatus]


class StatusReporter:
    """Composes the status from what the table declares and the pool observes."""

    def __init__(self, routes: RouteWatcher, pool: UpstreamPool, *, clock: Callable[[], float] = monotonic) -> None:
        self._routes = routes
        self._pool = pool
        self._clock = clock
        self._began = clock()

    def report(self) -> Status:
        """Return the status of this moment."""
        table = self._routes.served.table
        upstreams = [_upstream_status(upstream) for upstream in self._pool.upstreams]
        phase = _nearest_phase(upstreams)
        return Status(
            status=self._pool.state,
            phase=phase and phase.name,
            percent=phase and phase.percent,
            estimate_s=phase and phase.estimate_s,
            uptime_s=round(self._clock() - self._began, 3),
            version=__version__,
            deployment=table.deployment,
            profile=table.profile,
            identity=table.identity,
            serving=table.serving,
            prompt_format=table.template.prompt_format,
            limits=table.limits,
            in_flight=sum(upstream.in_flight for upstream in upstreams),
            route_table=RouteTableStatus(
                revision=table.revision,
                reload_error=self._routes.reload_error,
                template_error=self._routes.served.template_error,
            ),
            upstreams=upstreams,
        )


def _nearest_phase(upstreams: list[UpstreamStatus]) -> Phase | None:
    phases = [upstream.phase for upstream in upstreams if upstream.phase and upstream.observed != ObservedState.SERVING]
    unknown = float("inf")
    return min(phases, key=lambda phase: unknown if phase.estimate_s is None else phase.estimate_s, default=None)


def _upstream_status(upstream: ObservedUpstream) -> UpstreamStatus:
    declared = upstream.declared
    return UpstreamStatus(
        id=declared.id,
        url=declared.url,
        protocol=declared.protocol,
        declared=declared.state,
        phase=declared.phase,
        observed=upstream.state,
        reason=upstream.reason,
        in_flight=upstream.in_flight,
        capacity=_capacity(upstream.facts),
    )


def _capacity(facts: EngineFacts | None) -> Capacity | None:
    if facts is None:
        return None
    return Capacity(
        max_input_tokens=facts.max_input_tokens,
        max_total_tokens=facts.max_total_tokens,
        max_stop_sequences=facts.max_stop_sequences,
        model_id=facts.model_id,
        version=facts.version,
    )
