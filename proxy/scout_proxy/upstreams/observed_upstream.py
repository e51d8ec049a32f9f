"""One upstream as the proxy observes it: probed by its own task, marked lost by a request that could not reach it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import StrEnum
from time import monotonic

from scout_proxy.background import start_in_background, stop
from scout_proxy.errors import (
    AnswerCutOffError,
    DeadlineError,
    GenerationFailedError,
    NotLoadedError,
    OverloadedError,
    ProxyError,
    UpstreamLostError,
)
from scout_proxy.route_table import Upstream, UpstreamState
from scout_proxy.upstreams.engine import Engine, EngineFacts
from scout_proxy.upstreams.proof import UnprovenError, prove

_log = logging.getLogger(__name__)

_QUICK_PROBE_S = 0.1
_IDLE_PROBE_S = 3.0
_LONGEST_REST_S = 5.0
_MOST_DOUBLINGS = 10
# An engine's health check can wait behind a long prefill, and TGI's recovers by being asked again.
PROBE_TIMEOUT_S = 10.0
_MISSES_UNTIL_LOST = 3
_SILENCES_UNTIL_AVOIDED = 2


class ObservedState(StrEnum):
    """What an upstream does, whatever is declared of it."""

    STARTING = "starting"
    SERVING = "serving"
    LOST = "lost"
    DRAINING = "draining"


class ObservedUpstream:
    """Starts to probe at once, unless it is declared to drain; needs a running event loop.

    It serves once it has been proven by a generated token, and again only so after it was lost. Probed quickly while
    it does not serve, more and more slowly where its generations fail; while it serves, every few seconds without a
    generation, where no request has shown that it does.

    Args:
        open_engine: Gives the engine at a base URL.
        on_change: Called whenever it was seen to serve, for the first time or again, and when it is lost; `sightings`
            counts how often it was seen.
        probe_timeout_s: Longest wait for the answer to a probe.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        declared: Upstream,
        open_engine: Callable[[str], Awaitable[Engine]],
        *,
        on_change: Callable[[], None],
        probe_timeout_s: float = PROBE_TIMEOUT_S,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.declared = declared
        self.state = ObservedState.STARTING
        self.facts: EngineFacts | None = None
        self.reason: str | None = None
        self.in_flight = 0
        self.last_used_s = 0.0
        self.refused_until_s = 0.0
        self.has_served = False
        self.sightings = 0
        self.failures = 0
        self._proven_at_s = 0.0
        self._open_engine = open_engine
        self._on_change = on_change
        self._probe_timeout_s = probe_timeout_s
        self._clock = clock
        self._engine: Engine | None = None
        self._misses = 0
        self._silences = 0
        self._setbacks = 0
        self._served_before_leaving = False
        self._answered = False
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        if declared.state is UpstreamState.DRAINING:
            self.state = ObservedState.DRAINING
        else:
            self._start_observing()

    @property
    def id(self) -> str:
        """The declared id."""
        return self.declared.id

    @property
    def is_serving(self) -> bool:
        """Whether it is proven and was not lost since."""
        return self.state is ObservedState.SERVING

    @property
    def takes_requests(self) -> bool:
        """Whether it serves and is not kept in standby."""
        return self.is_serving and self.declared.state is not UpstreamState.STANDBY

    @property
    def is_silent(self) -> bool:
        """Whether it answers neither probes nor its requests: it hangs, or works on a very long prompt."""
        return self._silences >= _SILENCES_UNTIL_AVOIDED

    @property
    def proven_s(self) -> float | None:
        """Seconds since it was proven; None while it does not serve."""
        return self._clock() - self._proven_at_s if self.is_serving else None

    def declare(self, declared: Upstream) -> None:
        """Take what the table now says of it; a change is a reason to look at once."""
        before, self.declared = self.declared.state, declared
        if declared.state is before:
            return
        if declared.state is UpstreamState.DRAINING:
            self.leave()
        elif before is UpstreamState.DRAINING:
            # It was not lost while it drained, so an update that is taken back leaves no gap; a look follows at once.
            self.state = ObservedState.SERVING if self._served_before_leaving else ObservedState.STARTING
            self._start_observing()
        self._note_service()
        self._wake.set()

    def leave(self) -> None:
        """Give it no more requests and probe it no more; requests in flight go on."""
        self._served_before_leaving = self.is_serving
        self._answered = False
        self.state = ObservedState.DRAINING
        self._stop_observing()

    @property
    def has_room(self) -> bool:
        """Whether it works on fewer requests than it says it does at once, and did not refuse one just now."""
        places = self.facts.max_concurrent_requests if self.facts else None
        if places is not None and self.in_flight >= places:
            return False
        return not self.refused_until_s or self._clock() >= self.refused_until_s

    def reached(self) -> tuple[Engine, EngineFacts]:
        """Return the engine and what it says of itself.

        Raises:
            NotLoadedError: It has not been reached yet.
        """
        if self._engine is None or self.facts is None:
            raise NotLoadedError(log_reason=f"upstream {self.id} has not been reached yet")
        return self._engine, self.facts

    def note_answer(self) -> None:
        """Take note that a request was answered."""
        self._answered = True
        self.failures = self._setbacks = self._silences = 0
        self.reason = None if self.is_serving else self.reason

    def note_failure(self, failure: ProxyError) -> None:
        """Take note of how a request failed; a failure of transport takes the upstream out at once."""
        if isinstance(failure, UpstreamLostError | AnswerCutOffError):
            self._lose(failure.log_reason)
        elif isinstance(failure, GenerationFailedError | NotLoadedError):
            self.failures += 1
            self.reason = failure.log_reason

    def eject(self) -> None:
        """Take it out because its generations fail; it is proven again after a rest, a longer one each time."""
        self._setbacks += 1
        self._lose(f"{self.failures} generations in a row failed, the last one with: {self.reason}")
        self._start_observing(after_s=self._rest_s)

    async def close(self) -> None:
        """Stop probing."""
        if self._task is not None:
            await stop(self._task)

    @property
    def _interval_s(self) -> float:
        if not self.is_serving:
            return self._rest_s
        return _QUICK_PROBE_S if self._misses or self._silences else _IDLE_PROBE_S

    @property
    def _rest_s(self) -> float:
        return min(_QUICK_PROBE_S * 2.0 ** min(self._setbacks, _MOST_DOUBLINGS), _LONGEST_REST_S)

    def _start_observing(self, *, after_s: float = 0) -> None:
        self._stop_observing()
        self._task = start_in_background(self._observe(after_s), f"observe {self.id}")

    def _stop_observing(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _observe(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
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
            if self.is_serving and not self._misses:
                self.sightings += 1
                self._on_change()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval_s):
                    await self._wake.wait()

    async def _probe(self, engine: Engine) -> None:
        try:
            async with asyncio.timeout(self._probe_timeout_s):
                facts = await engine.probe()
            if not self.is_serving:
                await prove(engine)
        except UpstreamLostError as exc:
            self._lose(exc.log_reason)
        except UnprovenError as exc:
            self._setbacks += 1
            self.reason = str(exc)
        except OverloadedError as exc:
            # It is there, and cannot be asked now.
            self.reason = exc.log_reason
        except (TimeoutError, DeadlineError):
            self._hear_nothing(f"no answer to a probe within {self._probe_timeout_s:g} s")
        except ProxyError as exc:
            self._miss(exc.log_reason)
        else:
            self._serve(facts)

    def _serve(self, facts: EngineFacts) -> None:
        began = not self.is_serving
        self.state = ObservedState.SERVING
        self.facts, self._misses = facts, 0
        if self._silences:
            self._silences, self.reason = 0, None
        if began:
            _log.info("upstream serves", extra={"upstream": self.id, "url": self.declared.url})
            self.failures, self.reason = 0, None
            self._proven_at_s = self._clock()
            self._note_service()

    def _note_service(self) -> None:
        self.has_served = self.has_served or self.takes_requests

    def _hear_nothing(self, reason: str) -> None:
        """Avoid it while it has requests: they may be what keeps it from answering, and losing it helps none."""
        if not self.in_flight:
            self._miss(reason)
            return
        self._silences += 1
        self.reason = f"{reason}, with {self.in_flight} requests in flight"

    def _miss(self, reason: str) -> None:
        self._misses += 1
        if not self.is_serving or self._misses >= _MISSES_UNTIL_LOST:
            self._lose(reason)

    def _lose(self, reason: str) -> None:
        self.reason = reason
        self._served_before_leaving = False
        if self.is_serving:
            _log.warning("upstream lost", extra={"upstream": self.id, "url": self.declared.url, "reason": reason})
            self.state = ObservedState.LOST
            self._wake.set()
            self._on_change()
