"""Upstreams whose state a test sets by hand: nothing probes them, and time is what the test says."""

from collections.abc import Mapping

from scout_proxy.route_table import Upstream, UpstreamState
from scout_proxy.upstreams.engine import Engine, EngineFacts
from scout_proxy.upstreams.observed_upstream import ObservedState, ObservedUpstream

_NOT_SEEN: Mapping[ObservedUpstream, int] = {}


class HandClock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class FixedUpstreams:
    """Gives places as the pool does: at the upstream with the fewest requests in flight."""

    def __init__(self, clock: HandClock, *places: int | None) -> None:
        self.all = [_upstream(index, clock, count) for index, count in enumerate(places)]
        self.hopeless = False
        self.retry_after_s = 1.0

    def pick(self, *, seen_since: Mapping[ObservedUpstream, int] = _NOT_SEEN) -> ObservedUpstream | None:
        free = [one for one in self.all if one.takes_requests and one.has_room and _is_wanted(one, seen_since)]
        return min(free, key=lambda one: one.in_flight, default=None)

    def has_takers(self, *, seen_since: Mapping[ObservedUpstream, int] = _NOT_SEEN) -> bool:
        return any(one.takes_requests and _is_wanted(one, seen_since) for one in self.all)

    def is_hopeless(self) -> bool:
        return self.hopeless

    @property
    def in_flight(self) -> int:
        return sum(one.in_flight for one in self.all)

    def lose(self) -> None:
        for one in self.all:
            one.state = ObservedState.LOST

    def recover(self) -> None:
        for one in self.all:
            one.state = ObservedState.SERVING
            one.sightings += 1


def _is_wanted(one: ObservedUpstream, seen_since: Mapping[ObservedUpstream, int]) -> bool:
    return seen_since.get(one) != one.sightings


def _upstream(index: int, clock: HandClock, places: int | None) -> ObservedUpstream:
    # One that is declared to drain is not probed.
    declared = Upstream(id=f"engine-{index}", url="http://127.0.0.1:1", state=UpstreamState.DRAINING)
    one = ObservedUpstream(declared, _open, on_change=lambda: None, clock=clock)
    one.state = ObservedState.SERVING
    one.facts = EngineFacts(max_input_tokens=100, max_total_tokens=1000, max_concurrent_requests=places)
    return one


async def _open(_: str) -> Engine:
    raise AssertionError("nothing opens an engine here")
