"""A lane of the shared cache on a scripted link: what it asks, when it rests, and whom it lets go."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from fakes.open_store import until
from scout_proxy.cache.circuit_breaker import CircuitBreaker
from scout_proxy.cache.redis_exchange import Command, LinkError, Reply, ReplyError
from scout_proxy.cache.redis_lane import Lane
from scout_proxy.cache.redis_work import WaitingReads

PROBE: Command = (b"PROBE",)
TIMEOUT_S, CONNECT_TIMEOUT_S = 0.25, 1.0
# A rest that nobody would wait for.
LONG_S = 3600.0
WRONG_TYPE = ReplyError(reason="WRONGTYPE", is_wrong_type=True)
FULL = ReplyError(reason="it is full")


class FakeLink:
    """Answers each command with `answer`, or raises it; `asked` has the commands and the time they were given."""

    def __init__(self) -> None:
        self.answer: Reply | Exception = b"value"
        self.asked: list[tuple[list[Command], float]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def exchange(self, commands: Sequence[Command], *, timeout_s: float) -> list[Reply]:
        self.asked.append((list(commands), timeout_s))
        await self.may_answer.wait()
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return [self.answer for _ in commands]

    async def close(self) -> None:
        pass

    @property
    def probes_s(self) -> list[float]:
        """The time that each probe was given."""
        return [timeout_s for commands, timeout_s in self.asked if commands == [PROBE]]


class Parts:
    """A lane of gets that was seen to work."""

    def __init__(self, *, idle_probe_s: float = 60) -> None:
        self.link = FakeLink()
        self.reads = WaitingReads()
        self.changes = 0
        self.lane = Lane(
            "reader",
            self.link,
            self.reads,
            probe=PROBE,
            timeout_s=TIMEOUT_S,
            connect_timeout_s=CONNECT_TIMEOUT_S,
            idle_probe_s=idle_probe_s,
            on_change=self.note_change,
        )

    def note_change(self) -> None:
        self.changes += 1

    def rest_long(self) -> None:
        """Once it is given up, probe it no more by itself: a test that was late would see that too."""
        self.lane._breaker = CircuitBreaker(first_rest_s=LONG_S, longest_rest_s=LONG_S)

    def ask(self) -> asyncio.Future[Reply | None]:
        value = self.reads.add(b"key")
        self.lane.wake()
        return value


def on_lane(use: Callable[[Parts], Awaitable[None]], *, idle_probe_s: float = 60) -> None:
    async def run() -> None:
        parts = Parts(idle_probe_s=idle_probe_s)
        await until(lambda: parts.lane.is_working, "the lane works")
        parts.link.asked.clear()
        await use(parts)
        await parts.lane.close()

    asyncio.run(run())


def test_it_works_once_it_was_seen_to() -> None:
    async def run() -> None:
        parts = Parts()
        parts.link.may_answer.clear()
        before = (parts.lane.is_working, parts.lane.has_failed)
        parts.link.may_answer.set()
        await until(lambda: parts.lane.is_working, "the lane works")

        assert before == (False, False)
        assert parts.link.probes_s == [CONNECT_TIMEOUT_S, TIMEOUT_S], (
            "first to connect, then quick enough for a request"
        )
        assert parts.changes == 1
        await parts.lane.close()

    asyncio.run(run())


def test_what_waits_is_asked_together() -> None:
    async def use(parts: Parts) -> None:
        parts.link.may_answer.clear()
        first = parts.ask()
        await until(lambda: parts.link.asked, "the first is asked")
        others = [parts.ask() for _ in range(40)]
        others[3].cancel()
        parts.link.may_answer.set()
        values = await asyncio.gather(first, *others, return_exceptions=True)

        assert [len(commands) for commands, _ in parts.link.asked] == [1, 32, 7]
        assert values.count(b"value") == 40

    on_lane(use)


def test_a_failure_gives_nothing_and_is_looked_into_with_no_more_time_than_a_request_has() -> None:
    async def use(parts: Parts) -> None:
        parts.rest_long()
        parts.link.answer = LinkError("gone")

        assert await parts.ask() is None

        await until(lambda: parts.lane.has_failed, "the lane is given up")

        assert (parts.lane.reason, parts.lane.errors, parts.changes) == ("gone", 3, 2)
        assert parts.link.probes_s == [TIMEOUT_S, TIMEOUT_S]

    on_lane(use)


def test_gets_that_wait_when_it_is_given_up_are_let_go() -> None:
    async def use(parts: Parts) -> None:
        parts.rest_long()
        parts.link.answer = LinkError("gone")
        waiting = [parts.ask() for _ in range(200)]
        async with asyncio.timeout(30):
            values = await asyncio.gather(*waiting)

        assert values == [None] * 200
        assert len(parts.link.asked) == 3

    on_lane(use)


def test_it_comes_back_by_itself_and_is_asked_again() -> None:
    async def use(parts: Parts) -> None:
        parts.link.answer = LinkError("gone")
        await asyncio.gather(*(parts.ask() for _ in range(200)))
        parts.link.answer = b"value"
        await until(lambda: parts.lane.is_working, "the lane works again")

        assert await parts.ask() == b"value"
        assert parts.changes == 3
        assert CONNECT_TIMEOUT_S in parts.link.probes_s, "connecting may take longer while nobody waits"

    on_lane(use)


def test_this_process_being_late_is_an_error_but_no_reason_to_give_up() -> None:
    async def use(parts: Parts) -> None:
        parts.link.answer = LinkError("late", is_own_delay=True)
        for _ in range(10):
            assert await parts.ask() is None

        assert (parts.lane.is_working, parts.lane.errors) == (True, 10)

    on_lane(use)


def test_what_lies_under_a_key_says_nothing_of_the_server() -> None:
    async def use(parts: Parts) -> None:
        parts.link.answer = WRONG_TYPE
        for _ in range(10):
            assert await parts.ask() is WRONG_TYPE

        assert (parts.lane.is_working, parts.lane.errors) == (True, 0)

    on_lane(use)


def test_a_server_that_refuses_is_given_up() -> None:
    async def use(parts: Parts) -> None:
        parts.link.answer = FULL
        # Three exchanges' worth at once: between gets that come one by one it is probed, which can be what opens it.
        values = await asyncio.gather(*(parts.ask() for _ in range(96)))
        await until(lambda: parts.lane.has_failed, "the lane is given up")

        assert values == [FULL] * 96
        assert parts.lane.reason == "it is full"

    on_lane(use)


def test_without_work_it_is_probed_now_and_then() -> None:
    async def use(parts: Parts) -> None:
        await until(lambda: len(parts.link.probes_s) >= 3, "it is probed")

        assert set(parts.link.probes_s) == {TIMEOUT_S}
        assert parts.lane.is_working

    on_lane(use, idle_probe_s=0.01)


def test_it_can_be_told_to_look_again_without_a_rest() -> None:
    async def use(parts: Parts) -> None:
        parts.rest_long()
        parts.link.answer = LinkError("gone")
        await asyncio.gather(*(parts.ask() for _ in range(200)))
        parts.link.answer = b"value"
        before = parts.lane.has_failed
        parts.lane.look_again()
        unknown = parts.lane.has_failed
        await until(lambda: parts.lane.is_working, "the lane works again")

        assert (before, unknown) == (True, False)

    on_lane(use)


def test_finishing_waits_for_what_was_asked_and_no_longer_than_said() -> None:
    async def use(parts: Parts) -> None:
        value = parts.ask()
        await parts.lane.finish(5)
        done = value.done()
        parts.link.may_answer.clear()
        stuck = parts.ask()
        await parts.lane.finish(0.01)

        assert (done, stuck.done()) == (True, False)

    on_lane(use)


def test_closing_lets_go_of_whoever_waits() -> None:
    async def run() -> None:
        parts = Parts()
        at_once = parts.ask()
        await parts.lane.close()

        assert await at_once is None

    asyncio.run(run())


def test_a_defect_ends_it_and_lets_go_of_whoever_waits(caplog: pytest.LogCaptureFixture) -> None:
    async def use(parts: Parts) -> None:
        parts.link.answer = ZeroDivisionError("a defect")
        waiting = [parts.ask() for _ in range(40)]
        async with asyncio.timeout(30):
            assert await asyncio.gather(*waiting) == [None] * 40
        await until(lambda: parts.lane.has_failed, "the lane has ended")

        assert not parts.lane.is_working
        assert "defect" in parts.lane.reason

    on_lane(use)

    # Another proxy of this process may log something too.
    said = [record.getMessage() for record in caplog.records if record.name == "scout_proxy.background"]
    assert said == ["a background task ended"]
