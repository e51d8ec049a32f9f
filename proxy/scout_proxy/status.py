"""What GET /status says: declared and observed state side by side. Typed, so that /openapi.json declares it."""

from collections.abc import Callable
from time import monotonic

from pydantic import BaseModel

from scout_proxy.cache.memory_store import MemoryStore
from scout_proxy.cache.stored_answers import StoreStatus
from scout_proxy.observation.metrics import Metrics
from scout_proxy.route_table import CachePolicy, Identity, Limits, Phase, PromptFormat, Serving, UpstreamState
from scout_proxy.route_watcher import RouteWatcher
from scout_proxy.upstreams.admission import Admission
from scout_proxy.upstreams.engine import EngineFacts
from scout_proxy.upstreams.observed_upstream import ObservedState, ObservedUpstream
from scout_proxy.upstreams.upstream_pool import ServiceState, UpstreamPool
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
    """One upstream. `declared` is the toolkit's word, `observed` what the proxy's own probes and requests show.

    It is `serving` once a token was generated; `proven_s` is how many seconds ago, null while it does not serve. One
    in standby serves without taking requests. `reason` is the last failure of one that does not serve or fails now.
    """

    id: str
    url: str
    protocol: str
    declared: UpstreamState
    phase: Phase | None
    observed: ObservedState
    reason: str | None
    in_flight: int
    takes_requests: bool
    proven_s: float | None
    capacity: Capacity | None


class HoldStatus(BaseModel):
    """While the table lets requests wait for an upstream: how many do, and the table's word on how long."""

    waiting: int
    max_wait_s: float
    estimate_s: float | None


class QueueStatus(BaseModel):
    """Requests that wait for a place at an engine, and those that a hold keeps waiting; together at most so many."""

    waiting: int
    held: int
    max_waiting: int


class CacheStatus(BaseModel):
    """The response cache in this process's memory; counts are of requests since its start."""

    policy: CachePolicy
    entries: int
    size_bytes: int
    hits: int
    misses: int
    coalesced: int
    bypassed: int


class Status(BaseModel):
    """Body of `GET /status`. `percent` and `estimate_s` are of the start that is nearest to its end.

    `shared_cache` is the Redis server that several proxies share, where the table names one.
    """

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
    queue: QueueStatus
    hold: HoldStatus | None
    cache: CacheStatus
    shared_cache: StoreStatus | None
    route_table: RouteTableStatus
    upstreams: list[UpstreamStatus]


class StatusReporter:
    """Composes the status from what the table declares and the pool observes."""

    def __init__(
        self,
        routes: RouteWatcher,
        pool: UpstreamPool,
        *,
        memory: MemoryStore,
        shared_cache: Callable[[], StoreStatus | None],
        metrics: Metrics,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._routes = routes
        self._pool = pool
        self._memory = memory
        self._shared_cache = shared_cache
        self._metrics = metrics
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
            queue=_queue_status(self._pool.admission),
            hold=_hold_status(self._pool.admission),
            cache=self._cache_status(table.cache.policy),
            shared_cache=self._shared_cache(),
            route_table=RouteTableStatus(
                revision=table.revision,
                reload_error=self._routes.reload_error,
                template_error=self._routes.served.template_error,
            ),
            upstreams=upstreams,
        )

    def _cache_status(self, policy: CachePolicy) -> CacheStatus:
        count = self._metrics.cache_handle
        return CacheStatus(
            policy=policy,
            entries=len(self._memory),
            size_bytes=self._memory.size_bytes,
            hits=int(count("HIT").value),
            misses=int(count("MISS").value),
            coalesced=int(count("COALESCED").value),
            bypassed=int(count("BYPASS").value),
        )


def _queue_status(admission: Admission) -> QueueStatus:
    return QueueStatus(waiting=admission.queued, held=admission.held, max_waiting=admission.max_waiting)


def _hold_status(admission: Admission) -> HoldStatus | None:
    hold = admission.hold
    if hold is None:
        return None
    return HoldStatus(waiting=admission.held, max_wait_s=hold.max_wait_s, estimate_s=hold.estimate_s)


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
        takes_requests=upstream.takes_requests,
        proven_s=None if upstream.proven_s is None else round(upstream.proven_s, 3),
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
