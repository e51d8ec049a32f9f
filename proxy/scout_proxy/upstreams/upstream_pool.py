"""The upstreams that the route table declares, what the proxy observes of them, and which one is next."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from functools import partial, reduce

from scout_proxy.errors import NotLoadedError
from scout_proxy.route_table import RouteTable, UpstreamState
from scout_proxy.upstreams.admission import Admission
from scout_proxy.upstreams.engine import Engine, EngineFacts, Engines
from scout_proxy.upstreams.observed_upstream import PROBE_TIMEOUT_S, ObservedUpstream

_FAILURES_UNTIL_EJECTED = 3
_NOT_SEEN: Mapping[ObservedUpstream, int] = {}


class ServiceState(StrEnum):
    """`status` of `GET /`."""

    STARTING = "starting"
    ACTIVE = "active"
    UNAVAILABLE = "unavailable"


class UpstreamPool:
    """Observes every declared upstream for itself, and picks the one for the next request.

    Needs a running event loop from the first `apply` on; `close` ends what it started.

    Args:
        load_engines: Opens the engines' client. Awaited in the background, so that the proxy answers before its
            libraries are imported.
        probe_timeout_s: Longest wait for an upstream's answer to a probe.

    Attributes:
        on_review: Called whenever an upstream was seen to serve or is lost, for whoever else gives out its places.
    """

    def __init__(
        self, load_engines: Callable[[], Awaitable[Engines]], *, probe_timeout_s: float = PROBE_TIMEOUT_S
    ) -> None:
        self._load_engines = load_engines
        self._probe_timeout_s = probe_timeout_s
        self._engines: asyncio.Future[Engines] | None = None
        self._current: dict[tuple[str, str], ObservedUpstream] = {}
        self._leaving: list[ObservedUpstream] = []
        self._has_served = False
        self.admission = Admission(self)
        self.on_review: Callable[[], None] = review_nothing

    def apply(self, table: RouteTable) -> None:
        """Take the table: new upstreams are probed, removed ones get no more requests and finish theirs."""
        engines = self._engines = self._engines or asyncio.ensure_future(self._load_engines())
        wanted = {(upstream.id, upstream.url): upstream for upstream in table.upstreams}
        for key in self._current.keys() - wanted.keys():
            self._remove(self._current.pop(key))
        for key, upstream in wanted.items():
            if key in self._current:
                self._current[key].declare(upstream)
            else:
                self._current[key] = ObservedUpstream(
                    upstream,
                    partial(_open, engines),
                    on_change=self._review,
                    probe_timeout_s=self._probe_timeout_s,
                )
        self._forget_idle()
        self.admission.apply(table.hold, table.limits.max_waiting)

    @property
    def upstreams(self) -> tuple[ObservedUpstream, ...]:
        """All that are declared, and the removed ones that still have requests in flight."""
        self._forget_idle()
        return (*self._current.values(), *self._leaving)

    @property
    def state(self) -> ServiceState:
        """`active` while one takes requests, `starting` while one may yet do so for the first time, else `unavailable`.

        A service that holds requests is `active` too, for as long as they can expect an answer: whoever asks before
        sending, such as a load balancer, must not turn away requests that would be answered.
        """
        if self.admission.will_answer or self.has_takers():
            return ServiceState.ACTIVE
        # An engine that died comes back as a new upstream on another port; the service was lost all the same.
        if self._has_served:
            return ServiceState.UNAVAILABLE
        waiting = [
            not upstream.has_served and upstream.declared.state not in {UpstreamState.FAILED, UpstreamState.DRAINING}
            for upstream in self._current.values()
        ]
        return ServiceState.STARTING if any(waiting) or not waiting else ServiceState.UNAVAILABLE

    @property
    def retry_after_s(self) -> float:
        """When it makes sense to ask again: the start's own estimate where there is one."""
        estimates = [
            upstream.declared.phase.estimate_s
            for upstream in self._current.values()
            if upstream.declared.phase and upstream.declared.phase.estimate_s is not None
        ]
        return min(estimates, default=self.admission.retry_after_s)

    def is_hopeless(self) -> bool:
        """Whether none is declared that may take requests, now or when it has started."""
        hopeful = {UpstreamState.STARTING, UpstreamState.RUNNING}
        return not any(upstream.declared.state in hopeful for upstream in self._current.values())

    @property
    def known_limits(self) -> EngineFacts | None:
        """The least room of those that take requests; None where none does."""
        facts = [upstream.facts for upstream in self._takers() if upstream.facts]
        return reduce(EngineFacts.least, facts) if facts else None

    def limits(self) -> EngineFacts:
        """Return the least room of those that take requests, so that a request fits whichever takes it.

        Raises:
            NotLoadedError: None takes requests.
        """
        limits = self.known_limits
        if limits is None:
            raise NotLoadedError(retry_after_s=self.retry_after_s)
        return limits

    def pick(self, *, seen_since: Mapping[ObservedUpstream, int] = _NOT_SEEN) -> ObservedUpstream | None:
        """Return the upstream with the fewest requests in flight of those that take requests and have a place.

        One that went silent is the last choice: it may hang, and then has few in flight because all wait elsewhere.

        Args:
            seen_since: Upstreams that are wanted only if they have been seen to serve more often than this.
        """
        best: ObservedUpstream | None = None
        for one in self._current.values():
            if one.takes_requests and one.has_room and seen_since.get(one) != one.sightings:
                best = one if best is None or _rank(one) < _rank(best) else best
        return best

    def has_takers(self, *, seen_since: Mapping[ObservedUpstream, int] = _NOT_SEEN) -> bool:
        """Tell whether an upstream takes requests, with a place or without; `seen_since` as for `pick`."""
        return any(one.takes_requests and seen_since.get(one) != one.sightings for one in self._current.values())

    def eject_if_failing(self, upstream: ObservedUpstream) -> None:
        """Take an upstream out that answers but fails generations, unless it is the last one."""
        if upstream.failures < _FAILURES_UNTIL_EJECTED or not upstream.takes_requests:
            return
        if any(one is not upstream for one in self._takers()):
            upstream.eject()

    async def close(self) -> None:
        """Stop probing and close every connection."""
        for upstream in (*self._current.values(), *self._leaving):
            await upstream.close()
        if self._engines is not None:
            self._engines.cancel()
            await asyncio.gather(self._engines, return_exceptions=True)
            if not self._engines.cancelled() and self._engines.exception() is None:
                await self._engines.result().close()

    def _review(self) -> None:
        self.admission.review()
        self.on_review()

    def _takers(self) -> list[ObservedUpstream]:
        return [upstream for upstream in self._current.values() if upstream.takes_requests]

    def _remove(self, upstream: ObservedUpstream) -> None:
        self._has_served = self._has_served or upstream.has_served
        upstream.leave()
        self._leaving.append(upstream)

    def _forget_idle(self) -> None:
        self._leaving = [upstream for upstream in self._leaving if upstream.in_flight]


def review_nothing() -> None:
    """Nobody else gives out places."""


def _rank(upstream: ObservedUpstream) -> tuple[bool, int, float]:
    return upstream.is_silent, upstream.in_flight, upstream.last_used_s


async def _open(engines: asyncio.Future[Engines], url: str) -> Engine:
    return (await asyncio.shield(engines)).open(url)
