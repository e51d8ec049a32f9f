import asyncio
from collections.abc import Callable

import pytest

from fakes.open_store import KEY, NOW_S, answer
from scout_proxy.cache.redis_exchange import ReplyError
from scout_proxy.cache.redis_work import KEY_PREFIX, Backlog, WaitingReads

REFUSED = ReplyError(reason="it is full")


class Clock:
    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def backlog(clock: Callable[[], float], *, max_puts: int = 100, max_bytes: int = 10_000_000) -> Backlog:
    return Backlog(samples=2, ttl_s=60, max_puts=max_puts, max_bytes=max_bytes, clock=clock)


def test_a_put_says_how_long_it_still_lives(clock: Clock) -> None:
    puts = backlog(clock)
    puts.add(KEY, answer("text"))
    clock.now_s += 20
    (command,) = puts.take()

    assert command[0] == b"EVAL"
    assert command[3] == KEY_PREFIX + KEY.hex().encode()
    assert command[-1] == 40_000


def test_what_was_written_leaves_the_backlog(clock: Clock) -> None:
    puts = backlog(clock, max_puts=2)
    for text in ("a", "b"):
        puts.add(KEY, answer(text))
    puts.take()
    before = len(puts)
    puts.settle([b"OK", b"OK"])
    after = len(puts)
    puts.add(KEY, answer("c"))

    assert (before, after, len(puts), puts.dropped) == (2, 0, 1, 0)


def test_room_is_given_back_in_bytes(clock: Clock) -> None:
    puts = backlog(clock, max_bytes=1_000)
    for _ in range(10):
        puts.add(KEY, answer("x" * 800))
        puts.take()
        puts.settle([b"OK"])

    assert puts.dropped == 0


@pytest.mark.parametrize("is_refused", [True, False], ids=["refused", "not answered"])
def test_what_could_not_be_written_is_tried_again_in_its_order_and_not_for_ever(clock: Clock, is_refused: bool) -> None:
    puts = backlog(clock)
    for text in ("a", "b"):
        puts.add(KEY, answer(text))
    tries = []
    while commands := puts.take():
        tries.append(b"".join(str(command[5]).encode()[-6:] for command in commands))
        if is_refused:
            puts.settle([REFUSED] * len(commands))
        else:
            puts.set_back()

    assert len(tries) == 5
    assert len(set(tries)) == 1
    assert (len(puts), puts.dropped) == (0, 2)


def test_only_what_was_refused_is_tried_again(clock: Clock) -> None:
    puts = backlog(clock)
    for text in ("a", "b", "c"):
        puts.add(KEY, answer(text))
    first = puts.take()
    puts.settle([b"OK", REFUSED, b"OK"])

    assert puts.take() == [first[1]]


def test_what_expired_meanwhile_is_let_go(clock: Clock) -> None:
    puts = backlog(clock, max_bytes=1_000)
    puts.add(KEY, answer("x" * 800))
    clock.now_s += 60
    taken = puts.take()
    puts.add(KEY, answer("y" * 800, stored_at_s=clock.now_s))

    assert taken == []
    assert (len(puts), puts.dropped) == (1, 1)


def test_a_pause_is_no_try(clock: Clock) -> None:
    puts = backlog(clock)
    puts.add(KEY, answer("text"))
    for _ in range(20):
        puts.give_up()

    assert (len(puts), puts.dropped) == (1, 0)


def test_one_exchange_writes_little_enough_for_its_time(clock: Clock) -> None:
    puts = backlog(clock)
    for _ in range(10):
        puts.add(KEY, answer("x" * 400_000))

    assert len(puts.take()) == 3


def test_gets_that_left_are_not_asked() -> None:
    async def run() -> None:
        reads = WaitingReads()
        values = [reads.add(bytes([index])) for index in range(4)]
        values[0].cancel()
        values[2].cancel()
        commands = reads.take()
        values[1].cancel()
        reads.settle([b"one", b"three"])

        assert [command[1] for command in commands] == [KEY_PREFIX + b"01", KEY_PREFIX + b"03"]
        assert await values[3] == b"three"
        assert reads.take() == []

    asyncio.run(run())


def test_giving_up_lets_go_of_those_that_were_asked_and_those_that_were_not() -> None:
    async def run() -> None:
        reads = WaitingReads()
        values = [reads.add(KEY) for _ in range(50)]
        reads.take()
        reads.give_up()

        assert await asyncio.gather(*values) == [None] * 50
        assert reads.take() == []

    asyncio.run(run())
