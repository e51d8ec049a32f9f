"""Admission by itself, with time passed in; what a client sees of it is in test_proxy_admission."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fakes.fixed_upstreams import FixedUpstreams, HandClock
from fakes.own_time import run_in_own_time
from scout_proxy.caller import Caller
from scout_proxy.errors import NotLoadedError, OverloadedError
from scout_proxy.route_table import Hold
from scout_proxy.upstreams.admission import Admission
from scout_proxy.upstreams.observed_upstream import ObservedUpstream

_TURNS = 4


class Line:
    """Engines with places, and those who want one."""

    def __init__(self, *places: int | None, max_waiting: int = 100, hold: Hold | None = None) -> None:
        self.clock = HandClock()
        self.upstreams = FixedUpstreams(self.clock, *places)
        self.admission = Admission(self.upstreams, clock=self.clock)
        self.admission.apply(hold, max_waiting)
        self.admitted: list[str] = []

    def caller(self, key_id: str = "") -> Caller:
        return Caller(arrived_s=self.clock(), key_id=key_id)

    async def take(self, key_id: str = "") -> ObservedUpstream:
        upstream = self.admission.take_now() or await self.admission.take(self.caller(key_id))
        self.admitted.append(key_id)
        return upstream

    async def let_wait(self, key_id: str, count: int) -> list[asyncio.Task[ObservedUpstream]]:
        tasks = [asyncio.create_task(self.take(key_id)) for _ in range(count)]
        await self.turn()
        return tasks

    async def turn(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await story()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    run_in_own_time(bounded())


def test_a_key_with_a_hundred_waiting_does_not_starve_another_one() -> None:
    async def story() -> None:
        line = Line(1)
        place = await line.take()
        await line.let_wait("greedy", 98)
        await line.let_wait("modest", 2)
        line.admitted.clear()
        for _ in range(6):
            line.admission.release(place)
            await line.turn()

        assert line.admitted == ["greedy", "modest", "greedy", "modest", "greedy", "greedy"]

    run(story)


def test_whoever_comes_while_others_wait_does_not_pass_them() -> None:
    async def story() -> None:
        line = Line(1)
        place = await line.take()
        (waiting,) = await line.let_wait("", 1)
        line.admission.release(place)

        assert line.admission.take_now() is None
        assert await waiting is place

    run(story)


def test_each_engine_works_on_as_many_as_it_says() -> None:
    async def story() -> None:
        line = Line(1, 2)
        taken = [await line.take() for _ in range(3)]
        waiting = await line.let_wait("", 2)

        assert [one.in_flight for one in line.upstreams.all] == [1, 2]
        assert (line.admission.queued, line.admission.held) == (2, 0)
        line.admission.release(taken[0])
        assert await waiting[0] is taken[0]

    run(story)


def test_an_engine_that_does_not_say_how_many_it_takes_gets_all() -> None:
    async def story() -> None:
        line = Line(None)

        assert {await line.take() for _ in range(500)} == {line.upstreams.all[0]}

    run(story)


def test_a_full_line_says_when_to_come_again_by_the_measured_rate() -> None:
    async def story() -> None:
        line = Line(1, max_waiting=20)
        place = await line.take()
        waiting = await line.let_wait("", 20)
        for index in range(5):
            line.clock.now_s += 3
            line.admission.release(place)
            await waiting[index]
        await line.let_wait("", 5)
        with pytest.raises(OverloadedError) as refused:
            await line.take()

        assert refused.value.headers == {"Retry-After": str(21 * 3)}
        assert "20 wait" in refused.value.message

    run(story)


def test_a_long_quiet_time_does_not_make_the_rate_slow() -> None:
    async def story() -> None:
        line = Line(1, max_waiting=3)
        for _ in range(80):
            line.clock.now_s += 60
            line.admission.release(await line.take())
        place = await line.take()
        waiting = await line.let_wait("", 3)
        for index in range(2):
            line.clock.now_s += 2
            line.admission.release(place)
            await waiting[index]
        await line.let_wait("", 2)
        with pytest.raises(OverloadedError) as refused:
            await line.take()

        assert refused.value.headers == {"Retry-After": "8"}

    run(story)


def test_one_that_leaves_gives_up_its_place_in_line_at_once() -> None:
    async def story() -> None:
        line = Line(1, max_waiting=1)
        await line.take()
        (waiting,) = await line.let_wait("", 1)
        with pytest.raises(OverloadedError):
            await line.take()
        waiting.cancel()
        await line.turn()

        assert line.admission.waiting == 0
        await line.let_wait("", 1)
        assert line.admission.queued == 1

    run(story)


def test_an_engine_that_refused_is_asked_again_after_a_rest_whatever_the_timer_says() -> None:
    async def story() -> None:
        line = Line(None)
        place = await line.take()
        line.admission.release(place, refused=True)
        # The clock of this test stands still, so the timer comes before the end of the rest, as some timers do.
        upstream = await line.admission.take(line.caller(), failure=OverloadedError())

        assert upstream is place

    run(story)


def test_an_engine_that_refused_is_asked_again_when_one_of_ours_has_ended_there() -> None:
    async def story() -> None:
        line = Line(None)
        first, second = await line.take(), await line.take()
        line.admission.release(second, refused=True)
        assert line.admission.take_now() is None
        line.admission.release(first)

        assert line.admission.take_now() is first

    run(story)


def test_a_lost_engine_refuses_those_who_wait() -> None:
    async def story() -> None:
        line = Line(1)
        await line.take()
        waiting = await line.let_wait("", 3)
        line.upstreams.lose()
        line.admission.review()
        ends = await asyncio.gather(*waiting, return_exceptions=True)

        assert [type(end) for end in ends] == [NotLoadedError] * 3
        assert line.admission.waiting == 0

    run(story)


def test_those_who_wait_go_on_to_wait_when_the_table_holds_them() -> None:
    async def story() -> None:
        line = Line(1, hold=Hold(max_wait_s=3600))
        place = await line.take()
        waiting = await line.let_wait("", 3)
        line.upstreams.lose()
        line.admission.review()
        await line.turn()
        assert (line.admission.queued, line.admission.held) == (0, 3)

        line.upstreams.recover()
        line.admission.apply(None, 100)
        assert (line.admission.queued, line.admission.held) == (3, 0)
        line.admission.release(place)
        assert await waiting[0] is place

    run(story)


def test_a_place_is_waited_for_longer_than_a_hold_may_last() -> None:
    async def story() -> None:
        line = Line(1, hold=Hold(max_wait_s=0.01))
        place = await line.take()
        line.upstreams.lose()
        (waiting,) = await line.let_wait("", 1)
        line.upstreams.recover()
        line.admission.apply(None, 100)
        await asyncio.wait({waiting}, timeout=0.05)
        line.admission.release(place)

        assert await waiting is place

    run(story)


def test_the_wait_is_told_to_whoever_asked() -> None:
    async def story() -> None:
        line = Line(1)
        place = await line.take()
        caller = line.caller()
        waiting = asyncio.create_task(line.admission.take(caller))
        await line.turn()
        line.clock.now_s += 2.5
        line.admission.release(place)
        await waiting

        assert caller.queued_s == 2.5

    run(story)
