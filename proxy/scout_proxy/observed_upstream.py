"""One upstream as the proxy observes it: probed by its own task, marked lost by a request that could not reach it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum

from scout_proxy.background import start_in_background, stop
from scout_proxy.engine import Engine, EngineFacts
from scout_proxy.errors import AnswerCutOffError, DeadlineError, NotLoadedError, ProxyError, UpstreamLostError
from scout_proxy.route_table import Upstream

_log = logging.getLogger(__name__)

_QUICK_PROBE_S = 0.1
_IDLE_PROBE_S = 3.0
# An engine's health check can wait behind a long prefill, and TGI's recovers by being asked again.
_PROBE_TIMEOUT_S = 10.0
_MISSES_UNTIL_LOST = 3


class ObservedState(StrEnum):
    """What an upstream does, whatever is declared of it."""

    STARTING = "starting"
    SERVING = "serving"
    LOST = "lost"
    DRAINING = "draining"


class ObservedUpstream:
    """Starts to probe at once; needs a running event loop.

    Probed quickly while it does not serve, every few seconds while it does and no request has shown that it does.

    Args:
        open_engine: Gives the engine at a base URL; awaited once.
    """

    def __init__(self, declared: Upstream, open_engine: Callable[[str], Awaitable[Engine]]) -> None:
        self.declared = declared
        self.state = ObservedState.STARTING
        self.facts: EngineFacts | None = None
        self.reason: str | None = None
        self.in_flight = 0
        self.has_served = False
        self._open_engine = open_engine
        self._engine: Engine | None = None
        self._misses = 0
        self._answered = False
        self._wake = asyncio.Event()
        self._task = start_in_background(self._observe(), f"observe {declared.id}")

    @property
    def id(self) -> str:
        """The declared id."""
        return self.declared.id

    @property
    def is_serving(self) -> bool:
        """Whether it takes requests."""
        return self.state is ObservedState.SERVING

    def declare(self, declared: Upstream) -> None:
        """Take what the table now says of it; a change is a reason to look at once."""
        if declared.state is not self.declared.state:
            self._wake.set()
        self.declared = declared

    def leave(self) -> None:
        """Give it no more requests and probe it no more; requests in flight go on."""
        self.state = ObservedState.DRAINING
        self._task.cancel()

    @contextmanager
    def in_use(self) -> Iterator[Engine]:
        """Count one request for as long as the block lasts; a failure of transport takes the upstream out at once."""
        if self._engine is None:
            raise NotLoadedError(log_reason=f"upstream {self.id} has not been reached yet")
        self.in_flight += 1
        try:
            yield self._engine
        except (UpstreamLostError, AnswerCutOffError) as exc:
            self._lose(exc.log_reason)
            raise
        else:
            self._answered = True
        finally:
            self.in_flight -= 1

    async def close(self) -> None:
        """Stop probing."""
        await stop(self._task)

    async def _observe(self) -> None:
        try:
            engine = await self._open_engine(self.declared.url)
        except ImportError as exc:
            self.reason = f"the client for engines cannot be imported: {exc}; install scout-deploy again"
            _log.error("no upstream can be reached", extra={"upstream": self.id, "reason": self.reason})
            return
        self._engine = engine
        while True:
            self._wake.clear()
            if not (self.is_serving and self._answered):
                await self._probe(engine)
            self._answered = False
            interval_s = _IDLE_PROBE_S if self.is_serving and not self._misses else _QUICK_PROBE_S
            with suppress(TimeoutError):
                async with asyncio.timeout(interval_s):
                    await self._wake.wait()

    async def _probe(self, engine: Engine) -> None:
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                facts = await engine.probe()
        except UpstreamLostError as exc:
            self._lose(exc.log_reason)
        except (TimeoutError, DeadlineError):
            if not self.in_flight:
                self._miss(f"no answer to a probe within {_PROBE_TIMEOUT_S:g} s")
        except ProxyError as exc:
            self._miss(exc.log_reason)
        else:
            self._serve(facts)

    def _serve(self, facts: EngineFacts) -> None:
        if not self.is_serving:
            _log.info("upstream serves", extra={"upstream": self.id, "url": self.declared.url})
        self.state = ObservedState.SERVING
        self.has_served = True
        self.facts, self.reason, self._misses = facts, None, 0

    def _miss(self, reason: str) -> None:
        self._misses += 1
        if not self.is_serving or self._misses >= _MISSES_UNTIL_LOST:
            self._lose(reason)

    def _lose(self, reason: str) -> None:
        self.reason = reason
        if self.is_serving:
            _log.warning("upstream lost", extra={"upstream": self.id, "url": self.declared.url, "reason": reason})
            self.state = ObservedState.LOST
            self._wake.set()
