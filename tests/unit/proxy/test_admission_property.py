"""No place at an engine is lost or given twice, whatever those who want one do and in whatever order."""

import asyncio
import random

import pytest

from fakes.fixed_upstreams import FixedUpstreams, HandClock
from fakes.own_time import run_in_own_time
from scout_proxy.caller import Caller
from scout_proxy.errors import OverloadedError, ProxyError
from scout_proxy.route_table import Hold
from scout_proxy.upstreams.admission import Admission
from scout_proxy.upstreams.observed_upstream import ObservedUpstream

_TURNS = 4
_LIVES = 100
# Most of the time something is to be had and somebody waits for it; what goes wrong comes in between.
_STEPS = {
    "arrive": 30,
    "turn": 30,
    "finish": 20,
    "leave": 12,
    "fail": 4,
    "refuse": 4,
    "lose": 2,
    "recover": 4,
    "hold": 2,
    "unhold": 2,
    "rest": 4,
}


class Work:
    """One request's way through admission: it waits, has a place, gives it back."""

    def __init__(self, admission: Admission, key_id: str, clock: HandClock) -> None:
        self._admission = admission
        self._caller = Caller(arrived_s=clock(), key_id=key_id)
        self.at: ObservedUpstream | None = None
        self.sightings: dict[ObservedUpstream, int] = {}
        self.end = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        upstream = self._admission.take_now() or await self._admission.take(self._caller)
        while True:
            self.at, word = upstream, "cancelled"
            try:
                word = await self.end
            finally:
                self.at = None
                self._admission.release(upstream, refused=word == "refuse")
            if word == "finish":
                return
            self.end = asyncio.get_running_loop().create_future()
            failure = OverloadedError() if word == "refuse" else ProxyError("failed")
            if word == "fail":
                self.sightings[upstream] = upstream.sightings
            upstream = await self._admission.take(self._caller, sightings=self.sightings, failure=failure)


class World:
    def __init__(self, places: list[int]) -> None:
        self.clock = HandClock()
        self.upstreams = FixedUpstreams(self.clock, *places)
        self.admission = Admission(self.upstreams, clock=self.clock)
        self.admission.apply(None, max_waiting=8)
        self.works: list[Work] = []

    def step(self, what: str, chance: random.Random) -> None:
        if what == "arrive":
            self.works.append(Work(self.admission, chance.choice(["", "a", "b"]), self.clock))
        elif what in {"lose", "recover"}:
            getattr(self.upstreams, what)()
            self.admission.review()
        elif what in {"hold", "unhold"}:
            self.admission.apply(Hold(max_wait_s=3600) if what == "hold" else None, max_waiting=8)
        elif what == "rest":
            self.clock.now_s += 1
            self.admission.review()
        elif self.works:
            self._end(chance.choice(self.works[-8:]), what)

    @staticmethod
    def _end(work: Work, what: str) -> None:
        if what == "leave":
            work.task.cancel()
        elif work.at is not None and not work.end.done():
            work.end.set_result(what)

    async def settle(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        for one in self.upstreams.all:
            assert one.in_flight == sum(work.at is one for work in self.works)
        for work in self.works:
            assert work.task.done() or work.at or self.upstreams.pick(seen_since=work.sightings) is None

    async def finish(self) -> None:
        """Let everything end well that still can."""
        chance = random.Random(0)  # noqa: S311  # no secrets
        self.step("recover", chance)
        self.step("rest", chance)
        while not all(work.task.done() for work in self.works):
            await self.settle()
            if not all(work.task.done() for work in self.works):
                assert any(work.at for work in self.works), "nobody has a place, and somebody waits for one"
            for work in self.works:
                self._end(work, "finish")


@pytest.mark.parametrize("first_seed", [0, 1000])
def test_no_place_is_lost_or_given_twice(first_seed: int) -> None:
    for seed in range(first_seed, first_seed + _LIVES):
        run_in_own_time(_live(seed))


async def _live(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # no secrets
    places = [chance.randint(1, 3) for _ in range(chance.randint(1, 2))]
    world = World(places)
    for what in chance.choices(list(_STEPS), list(_STEPS.values()), k=60):
        if what == "turn":
            await world.settle()
        else:
            world.step(what, chance)
        for one, most in zip(world.upstreams.all, places, strict=True):
            assert 0 <= one.in_flight <= most, seed
    await world.settle()
    await world.finish()
    ends = await asyncio.gather(*[work.task for work in world.works], return_exceptions=True)

    assert [end for end in ends if not isinstance(end, ProxyError | asyncio.CancelledError | None)] == [], seed
    assert (world.upstreams.in_flight, world.admission.waiting) == (0, 0), seed
    assert world.admission.take_now() is not None, seed


def test_a_place_that_comes_as_its_waiter_leaves_goes_to_the_next_one() -> None:
    async def run() -> None:
        world = World([1])
        first, second, third = (Work(world.admission, "", world.clock) for _ in range(3))
        world.works += [first, second, third]
        await world.settle()
        first.end.set_result("finish")
        second.task.cancel()
        await world.settle()

        assert third.at is world.upstreams.all[0]
        with pytest.raises(asyncio.CancelledError):
            await second.task
        await world.finish()

    run_in_own_time(run())
