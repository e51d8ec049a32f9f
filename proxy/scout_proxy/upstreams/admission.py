"""Gives work its place at an upstream. What finds none waits in a bounded line, fair between API keys.

There are two reasons to wait: every engine works on as many requests as it takes, or none takes any and the route
table holds requests meanwhile. One that waits for the first reason goes on to wait for the second.
"""

import asyncio
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Protocol

from scout_proxy.caller import Caller
from scout_proxy.errors import RETRY_SOON_S, NotLoadedError, OverloadedError, ProxyError
from scout_proxy.route_table import Hold
from scout_proxy.upstreams.observed_upstream import ObservedUpstream
from scout_proxy.upstreams.service_rate import ServiceRate
from scout_proxy.upstreams.waiting_line import WaitingLine

Sightings = Mapping[ObservedUpstream, int]

_NO_SIGHTINGS: Sightings = {}
# An engine that refused a request although it should have had a place has other clients: it is asked again when one
# of ours has ended there, or after this time.
_REFUSAL_REST_S = 0.5


class Upstreams(Protocol):
    """What is chosen from."""

    def pick(self, *, seen_since: Sightings = ...) -> ObservedUpstream | None:
        """Return the best one that takes requests and has a place."""
        ...

    def has_takers(self, *, seen_since: Sightings = ...) -> bool:
        """Tell whether one takes requests, with a place or without."""
        ...

    def is_hopeless(self) -> bool:
        """Tell whether none may take requests, now or when it has started."""
        ...

    @property
    def retry_after_s(self) -> float:
        """When it makes sense to ask again where none takes requests."""
        ...


class Admission:
    """Every place that is given is given back with `release`.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, upstreams: Upstreams, *, clock: Callable[[], float] = monotonic) -> None:
        self._upstreams = upstreams
        self._clock = clock
        self._rate = ServiceRate()
        self._line: WaitingLine[_Waiter] = WaitingLine()
        # Admitted before and let down by an engine, or told only when there is one: they stand before the line.
        self._first: dict[_Waiter, None] = {}
        self._max_waiting = 0
        self._hold_began_s = 0.0
        self.hold: Hold | None = None

    def apply(self, hold: Hold | None, max_waiting: int) -> None:
        """Take what the table says; a request that is held already keeps the wait that it was promised."""
        if hold is not None and self.hold is None:
            self._hold_began_s = self._clock()
        self.hold, self._max_waiting = hold, max_waiting
        self.review()

    @property
    def waiting(self) -> int:
        """How many wait, for whatever reason."""
        return len(self._first) + len(self._line)

    @property
    def queued(self) -> int:
        """How many wait for a place at an engine that takes requests."""
        return self.waiting - self.held

    @property
    def max_waiting(self) -> int:
        """The most that may wait."""
        return self._max_waiting

    @property
    def held(self) -> int:
        """How many wait because no upstream takes requests."""
        return sum(waiter.patience is not None for waiter in (*self._first, *self._line))

    @property
    def will_answer(self) -> bool:
        """Whether a request that comes during a hold can expect an answer: a place in line, and nobody gave up yet."""
        if self.hold is None:
            return False
        return self.waiting < self._max_waiting and self._clock() - self._hold_began_s < self.hold.max_wait_s

    @property
    def retry_after_s(self) -> float:
        """When it makes sense to ask again: the hold's own estimate where there is one."""
        estimate_s = self.hold.estimate_s if self.hold is not None else None
        return RETRY_SOON_S if estimate_s is None else estimate_s

    def take_now(self) -> ObservedUpstream | None:
        """Take a place if one is free and nobody waits for it."""
        if self._line or self._first:
            return None
        upstream = self._upstreams.pick()
        if upstream is not None:
            upstream.in_flight += 1
            upstream.last_used_s = self._clock()
        return upstream

    async def take(
        self, caller: Caller, *, sightings: Sightings = _NO_SIGHTINGS, failure: ProxyError | None = None
    ) -> ObservedUpstream:
        """Wait for a place.

        Args:
            sightings: Upstreams that let this work down; each is wanted only if it was seen to serve since.
            failure: How the last one did.

        Raises:
            OverloadedError: Every engine is full, and so is the line.
            ProxyError: No upstream is left to wait for: `failure`, or `NotLoadedError`.
        """
        waiter = _Waiter(caller, sightings, failure, takes_place=True, is_first=failure is not None)
        upstream = await self._wait(waiter)
        if upstream is None:
            raise self._refusal("a place was given back before it was taken")
        return upstream

    async def wait_until_taken(self, caller: Caller) -> None:
        """Return when an upstream takes requests, with a place or without: at once, or after the table's hold.

        Raises:
            NotLoadedError: None does, and there is no hold, or no more room or time in it.
        """
        if not self._upstreams.has_takers():
            await self._wait(_Waiter(caller, _NO_SIGHTINGS, None, takes_place=False, is_first=True))
            caller.is_promised = True

    def release(self, upstream: ObservedUpstream, *, refused: bool = False) -> None:
        """Give a place back. An engine that `refused` the request as one too many gets no more for a while."""
        upstream.in_flight -= 1
        upstream.refused_until_s = 0.0
        if refused:
            until_s = upstream.refused_until_s = self._clock() + _REFUSAL_REST_S
            asyncio.get_running_loop().call_later(_REFUSAL_REST_S, self._end_rest, upstream, until_s)
        if self._line or self._first:
            if not refused:
                self._rate.note(self._clock())
            self._serve()

    def review(self) -> None:
        """Look at everyone who waits again. Called whenever upstreams or the table have changed."""
        self._serve()
        for waiter in (*self._first, *self._line):
            self._look(waiter)

    async def _wait(self, waiter: "_Waiter") -> ObservedUpstream | None:
        waiter.future = asyncio.get_running_loop().create_future()
        self._look(waiter)
        if waiter.future.done():
            return waiter.future.result()
        self._check_room(waiter)
        self._enter(waiter)
        began_s = self._clock()
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter.future.done() and not waiter.future.cancelled() and not waiter.future.exception():
                self._give_back(waiter.future.result())
            raise
        finally:
            self._leave(waiter)
            if waiter.takes_place:
                waiter.caller.note_wait(began_s, self._clock() - began_s)

    def _end_rest(self, upstream: ObservedUpstream, until_s: float) -> None:
        """Ask an engine again, also where the timer comes a little before its time by the clock, as uvloop's do."""
        if upstream.refused_until_s == until_s:
            upstream.refused_until_s = 0.0
            self._serve()

    def _serve(self) -> None:
        """Give free places to those who wait, in their order."""
        for waiter in (*self._first,):
            self._look(waiter)
        while self._line and (upstream := self._upstreams.pick()) is not None:
            waiter = self._line.take()
            # One whose client left leaves the line in its own task's turn.
            if not waiter.future.done():
                self._give(waiter, upstream)

    def _look(self, waiter: "_Waiter") -> None:
        """Give this one its place, or its refusal where there is nothing to wait for."""
        if waiter.future.done():
            return
        if not waiter.takes_place and self._upstreams.has_takers():
            waiter.future.set_result(None)
            self._leave(waiter)
        elif waiter.takes_place and self._may_overtake(waiter) and (upstream := self._pick(waiter)) is not None:
            self._give(waiter, upstream)
        elif self._upstreams.has_takers(seen_since=waiter.sightings):
            waiter.end_patience()
        elif self.hold is not None:
            self._hold_back(waiter)
        elif waiter.patience is None or self._upstreams.is_hopeless():
            self._refuse(waiter, waiter.failure or self._refusal("no upstream is left to wait for"))

    def _may_overtake(self, waiter: "_Waiter") -> bool:
        return waiter.is_first or waiter.is_in_line or not self._line

    def _pick(self, waiter: "_Waiter") -> ObservedUpstream | None:
        return self._upstreams.pick(seen_since=waiter.sightings)

    def _give(self, waiter: "_Waiter", upstream: ObservedUpstream) -> None:
        upstream.in_flight += 1
        upstream.last_used_s = self._clock()
        waiter.future.set_result(upstream)
        self._leave(waiter)

    def _give_back(self, upstream: ObservedUpstream | None) -> None:
        if upstream is not None:
            upstream.in_flight -= 1
            self._serve()

    def _check_room(self, waiter: "_Waiter") -> None:
        if waiter.failure is not None or waiter.caller.is_promised or self.waiting < self._max_waiting:
            return
        if waiter.patience is not None:
            waiter.end_patience()
            raise self._refusal(f"{self.waiting} requests wait already")
        raise OverloadedError(
            f"Too many requests: the engine is at its limit, and {self.waiting} wait for it already; try again later",
            retry_after_s=self._rate.seconds_for(self.waiting + 1, self._clock()),
        )

    def _enter(self, waiter: "_Waiter") -> None:
        if waiter.is_first:
            self._first[waiter] = None
        else:
            waiter.is_in_line = True
            self._line.add(waiter.caller.key_id, waiter)

    def _leave(self, waiter: "_Waiter") -> None:
        """Take it out as soon as its wait is over, before its task knows: others may come in the same turn."""
        self._first.pop(waiter, None)
        self._line.discard(waiter.caller.key_id, waiter)
        waiter.end_patience()
        if not self._line and not self._first:
            self._rate.rest()

    def _hold_back(self, waiter: "_Waiter") -> None:
        """Promise it the hold's longest wait, from its arrival on."""
        if waiter.patience is not None or self.hold is None:
            return
        left_s = waiter.caller.arrived_s + self.hold.max_wait_s - self._clock()
        waiter.patience = asyncio.get_running_loop().call_later(left_s, self._lose_patience, waiter)

    def _lose_patience(self, waiter: "_Waiter") -> None:
        if not waiter.future.done():
            reason = "no upstream took the request within the longest wait of the hold"
            self._refuse(waiter, self._refusal(reason))

    def _refuse(self, waiter: "_Waiter", refusal: ProxyError) -> None:
        waiter.future.set_exception(refusal)
        self._leave(waiter)

    def _refusal(self, reason: str) -> NotLoadedError:
        return NotLoadedError(retry_after_s=self._upstreams.retry_after_s, log_reason=reason)


class _Waiter:
    """One piece of work in line, or one request that waits only until there is an upstream at all."""

    future: asyncio.Future[ObservedUpstream | None]

    def __init__(
        self,
        caller: Caller,
        sightings: Sightings,
        failure: ProxyError | None,
        *,
        takes_place: bool,
        is_first: bool,
    ) -> None:
        self.caller = caller
        self.sightings = sightings
        self.failure = failure
        self.takes_place = takes_place
        self.is_first = is_first
        self.is_in_line = False
        self.patience: asyncio.TimerHandle | None = None

    def end_patience(self) -> None:
        """Wait for a place from now on, and no more for the end of a hold."""
        if self.patience is not None:
            self.patience.cancel()
            self.patience = None
