"""The upstreams that the route table declares and what the proxy observes of them; picks one for each request."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial

from scout_proxy.engine import Engine, EngineFacts, Engines
from scout_proxy.errors import RETRY_SOON_S, NotLoadedError
from scout_proxy.observed_upstream import ObservedUpstream
from scout_proxy.route_table import Upstream, UpstreamState


class ServiceState(StrEnum):
    """`status` of `GET /`."""

    STARTING = "starting"
    ACTIVE = "active"
    UNAVAILABLE = "unavailable"


class UpstreamPool:
    """Observes every declared upstream for itself, and hands out the serving one with the fewest requests in flight.

    Needs a running event loop from the first `apply` on; `close` ends what it started.

    Args:
        load_engines: Opens the engines' client. Awaited in the background, so that the proxy answers before its
            libraries are imported.
    """

    def __init__(self, load_engines: Callable[[], Awaitable[Engines]]) -> None:
        self._load_engines = load_engines
        self._engines: asyncio.Future[Engines] | None = None
        self._current: dict[tuple[str, str], ObservedUpstream] = {}
        self._leaving: list[ObservedUpstream] = []
        self._has_served = False

    def apply(self, declared: tuple[Upstream, ...]) -> None:
        """Take the table's upstreams: new ones are probed, removed ones get no more requests and finish theirs."""
        engines = self._engines = self._engines or asyncio.ensure_future(self._load_engines())
        wanted = {(upstream.id, upstream.url): upstream for upstream in declared}
        for key in self._current.keys() - wanted.keys():
            self._remove(self._current.pop(key))
        for key, upstream in wanted.items():
            if key in self._current:
                self._current[key].declare(upstream)
            else:
                self._current[key] = ObservedUpstream(upstream, partial(_open, engines))
        self._forget_idle()

    @property
    def upstreams(self) -> tuple[ObservedUpstream, ...]:
        """All that are declared, and the removed ones that still have requests in flight."""
        self._forget_idle()
        return (*self._current.values(), *self._leaving)

    @property
    def state(self) -> ServiceState:
        """`active` while one serves, `starting` while one may yet serve for the first time, else `unavailable`."""
        if any(upstream.is_serving for upstream in self._current.values()):
            return ServiceState.ACTIVE
        # An engine that died comes back as a new upstream on another port; the service was lost all the same.
        if self._has_served:
            return ServiceState.UNAVAILABLE
        waiting = [
            not upstream.has_served and upstream.declared.state is not UpstreamState.FAILED
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
        return min(estimates, default=RETRY_SOON_S)

    def limits(self) -> EngineFacts:
        """Return the facts of the serving upstream with the least room, so that a request fits whichever takes it.

        Raises:
            NotLoadedError: None serves.
        """
        facts = [upstream.facts for upstream in self._current.values() if upstream.is_serving and upstream.facts]
        if not facts:
            raise NotLoadedError(retry_after_s=self.retry_after_s)
        return min(facts, key=lambda fact: (fact.max_total_tokens, fact.max_input_tokens))

    @contextmanager
    def lease(self) -> Iterator[tuple[str, Engine]]:
        """Pick an upstream for one request. It counts as in flight there until the block ends.

        Yields its id and the engine.

        Raises:
            NotLoadedError: None serves.
        """
        serving = [upstream for upstream in self._current.values() if upstream.is_serving]
        if not serving:
            raise NotLoadedError(retry_after_s=self.retry_after_s)
        upstream = min(serving, key=lambda candidate: candidate.in_flight)
        with upstream.in_use() as engine:
            yield upstream.id, engine

    async def close(self) -> None:
        """Stop probing and close every connection."""
        for upstream in (*self._current.values(), *self._leaving):
            await upstream.close()
        if self._engines is not None:
            self._engines.cancel()
            await asyncio.gather(self._engines, return_exceptions=True)
            if not self._engines.cancelled() and self._engines.exception() is None:
                await self._engines.result().close()

    def _remove(self, upstream: ObservedUpstream) -> None:
        self._has_served = self._has_served or upstream.has_served
        upstream.leave()
        self._leaving.append(upstream)

    def _forget_idle(self) -> None:
        self._leaving = [upstream for upstream in self._leaving if upstream.in_flight]


async def _open(engines: asyncio.Future[Engines], url: str) -> Engine:
    return (await asyncio.shield(engines)).open(url)
