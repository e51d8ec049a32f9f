"""A generation and those who wait for it, by themselves, with the time that each has left passed in."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from scout_proxy.cache.flight import Flight, Texts
from scout_proxy.errors import ClientGoneError, DeadlineError, GenerationFailedError
from scout_proxy.generate.followers import KEEP_ALIVE, PieceFollower, WholeFollower

_LONG_S = 3600.0


class Generation:
    """A generation whose end a test sets."""

    def __init__(self) -> None:
        self.ends: list[Flight] = []
        self.was_cancelled = False
        self._result: asyncio.Future[Texts] = asyncio.get_running_loop().create_future()
        self.flight = Flight(self._work, on_end=self.ends.append)

    async def _work(self, _: Flight) -> Texts:
        try:
            return await self._result
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise

    def finish(self, *texts: str) -> None:
        self._result.set_result(texts)

    def fail(self, failure: Exception) -> None:
        self._result.set_exception(failure)

    def whole(self, left_s: float = _LONG_S) -> tuple[WholeFollower, "asyncio.Task[Texts]"]:
        follower = WholeFollower(self.flight, deadline_s=1, left_s=left_s)

        async def wait() -> Texts:
            try:
                return await follower.texts()
            finally:
                follower.close()

        return follower, asyncio.create_task(wait())

    def pieces(self, write: Callable[[bytes], bool], *, keep_alive_s: float = _LONG_S) -> PieceFollower:
        return PieceFollower(self.flight, deadline_s=1, left_s=_LONG_S, write_now=write, keep_alive_s=keep_alive_s)


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await story()

    asyncio.run(bounded())


async def turn() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


def test_the_deadline_of_the_one_who_began_ends_no_others_wait() -> None:
    async def story() -> None:
        generation = Generation()
        _, late = generation.whole(left_s=-5)
        _, patient = generation.whole()
        with pytest.raises(DeadlineError):
            await late
        assert generation.flight.followers == 1
        generation.finish("text")
        assert await patient == ("text",)

    run(story)


def test_when_the_last_one_leaves_the_generation_ends_at_once() -> None:
    async def story() -> None:
        generation = Generation()
        waiting = [generation.whole() for _ in range(3)]
        await turn()
        for follower, _ in waiting:
            assert not generation.was_cancelled
            follower.go()
            await turn()
        assert generation.was_cancelled
        assert [type(task.exception()) for _, task in waiting] == [ClientGoneError] * 3
        assert (generation.ends, generation.flight.texts) == ([generation.flight], None)

    run(story)


def test_one_that_leaves_before_the_generation_had_its_first_turn_ends_it() -> None:
    async def story() -> None:
        generation = Generation()
        follower = WholeFollower(generation.flight, deadline_s=1, left_s=_LONG_S)
        follower.close()
        await turn()
        assert generation.ends == [generation.flight]

    run(story)


@pytest.mark.parametrize("failure", [GenerationFailedError("out of memory"), ZeroDivisionError("a defect")])
def test_a_failure_reaches_everyone(failure: Exception) -> None:
    async def story() -> None:
        generation = Generation()
        waiting = [generation.whole()[1] for _ in range(3)]
        generation.fail(failure)
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert ends == [failure] * 3

    run(story)


def test_one_that_comes_after_the_end_gets_it() -> None:
    async def story() -> None:
        generation = Generation()
        _, first = generation.whole()
        generation.finish("text")
        await first
        _, second = generation.whole()
        assert await second == ("text",)

    run(story)


class Reader:
    """Takes events at once while it is `fast`."""

    def __init__(self) -> None:
        self.fast = True
        self.taken = b""
        self.writes = 0
        self.has_taken = asyncio.Event()

    def write(self, data: bytes) -> bool:
        if self.fast:
            self.taken += data
            self.writes += 1
            self.has_taken.set()
        return self.fast


def event(sequence: int, text: str) -> bytes:
    return b'data: {"sequence":%d,"text":"%b"}\n\n' % (sequence, text.encode())


def test_pieces_are_given_on_within_their_turn_and_in_their_order() -> None:
    async def story() -> None:
        generation, reader = Generation(), Reader()
        follower = generation.pieces(reader.write)
        beginning = asyncio.create_task(follower.begin())
        await turn()
        generation.flight.tell(0, "a")
        generation.flight.tell(1, "b")
        await beginning
        assert await follower.next_events() == event(0, "a") + event(1, "b")
        next_events = asyncio.create_task(follower.next_events())
        await turn()
        generation.flight.tell(1, "c")
        assert reader.taken == event(1, "c")
        generation.flight.tell(0, "d")
        assert reader.taken == event(1, "c") + event(0, "d")
        generation.finish("ad", "bc")
        assert await next_events == b""
        follower.close()

    run(story)


def test_what_a_reader_does_not_take_at_once_it_gets_later_and_nothing_twice() -> None:
    async def story() -> None:
        generation, reader = Generation(), Reader()
        follower = generation.pieces(reader.write)
        generation.flight.tell(0, "a")
        await follower.begin()
        assert await follower.next_events() == event(0, "a")
        reader.fast = False
        next_events = asyncio.create_task(follower.next_events())
        await turn()
        for text in "bc":
            generation.flight.tell(0, text)
        reader.fast = True
        generation.flight.tell(0, "d")
        assert reader.taken == b""
        assert await next_events == event(0, "b") + event(0, "c") + event(0, "d")
        follower.close()

    run(story)


def test_one_that_took_everything_is_written_nothing_when_it_is_told_late() -> None:
    async def story() -> None:
        generation, readers = Generation(), [Reader() for _ in range(9)]
        followers = [generation.pieces(reader.write) for reader in readers]
        generation.flight.tell(0, "a")
        for follower in followers:
            await follower.begin()
            assert await follower.next_events() == event(0, "a")
        waiting = [asyncio.create_task(follower.next_events()) for follower in followers]
        await turn()
        # As the telling of "a" does that is still to come, for there are many.
        for follower in followers:
            follower.on_pieces()
        assert [reader.writes for reader in readers] == [0] * 9
        generation.finish("a")
        assert await asyncio.gather(*waiting) == [b""] * 9
        for follower in followers:
            follower.close()

    run(story)


def test_many_readers_are_told_of_many_pieces_at_once() -> None:
    async def story() -> None:
        generation, readers = Generation(), [Reader() for _ in range(50)]
        followers = [generation.pieces(reader.write) for reader in readers]
        generation.flight.tell(0, "a")
        for follower in followers:
            await follower.begin()
            assert await follower.next_events() == event(0, "a")
        waiting = [asyncio.create_task(follower.next_events()) for follower in followers]
        await turn()
        for _ in range(100):
            generation.flight.tell(0, "b")
        assert all(reader.taken == b"" for reader in readers)
        await readers[-1].has_taken.wait()
        assert all(reader.taken == event(0, "b") * 100 for reader in readers)
        assert all(reader.writes == 1 for reader in readers)
        generation.finish("a" + "b" * 100)
        assert await asyncio.gather(*waiting) == [b""] * 50
        for follower in followers:
            follower.close()

    run(story)


def test_a_lagging_reader_gets_bounded_writes() -> None:
    async def story() -> None:
        generation = Generation()
        follower = generation.pieces(lambda _: False)
        for _ in range(100):
            generation.flight.tell(0, "x" * 10_000)
        generation.finish("x" * 1_000_000)
        await follower.begin()
        await turn()
        sizes = [len(written) for written in [await follower.next_events() for _ in range(20)]]
        assert max(sizes) < 80_000
        assert sum(sizes) == 100 * len(event(0, "x" * 10_000))
        follower.close()

    run(story)


def test_silence_is_broken_and_speech_is_not() -> None:
    async def story() -> None:
        generation = Generation()
        follower = generation.pieces(lambda _: False, keep_alive_s=0.01)
        generation.flight.tell(0, "a")
        await follower.begin()
        assert await follower.next_events() == event(0, "a")
        assert await follower.next_events() == KEEP_ALIVE
        assert await follower.next_events() == KEEP_ALIVE
        generation.flight.tell(0, "b")
        assert await follower.next_events() == event(0, "b")
        follower.close()

    run(story)


def test_nothing_is_told_before_a_generation_is_known_to_begin_well() -> None:
    async def story() -> None:
        generation, reader = Generation(), Reader()
        follower = generation.pieces(reader.write, keep_alive_s=0.001)
        beginning = asyncio.create_task(follower.begin())
        await asyncio.wait({beginning}, timeout=0.05)
        generation.fail(GenerationFailedError("out of memory"))
        with pytest.raises(GenerationFailedError):
            await beginning
        assert reader.taken == b""
        follower.close()

    run(story)
