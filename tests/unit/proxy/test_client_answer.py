"""One HTTP answer from its bytes, however they are cut."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scout_proxy.upstreams.client_answer import After, ClientAnswer, CutOffError, NoAnswerError, NotHttpError

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
WHOLE = HEAD + b"content-length: 5\r\n\r\nhello"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n"


class RecordedFlow:
    """Says what was asked of it, and whether it is paused."""

    def __init__(self) -> None:
        self.is_paused = False

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False


class Received:
    def __init__(self, *, in_pieces: bool = False) -> None:
        self.flow = RecordedFlow()
        self.answer = ClientAnswer(in_pieces=in_pieces, flow=self.flow)

    def feed(self, *parts: bytes) -> "Received":
        for part in parts:
            self.answer.feed(part)
        return self

    async def body(self, most_bytes: int = 1000) -> bytes | None:
        return await self.answer.body(most_bytes)


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await story()

    asyncio.run(bounded())


@pytest.mark.parametrize("sent", [WHOLE, CHUNKED], ids=["length", "chunks"])
@given(cuts=st.lists(st.integers(0, 120), max_size=8))
@settings(derandomize=True, max_examples=60, deadline=None)
def test_an_answer_is_the_same_however_it_is_cut(sent: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(sent), *[cut for cut in cuts if cut < len(sent)]})
    parts = [sent[begin:end] for begin, end in zip(places, [*places[1:], None], strict=True)]

    async def story() -> None:
        received = Received().feed(*parts)
        assert await received.body() == b"hello"
        assert (received.answer.status, received.answer.headers["content-type"]) == (200, "application/json")
        assert (received.answer.is_complete, received.answer.is_reusable) == (True, True)

    run(story)


@pytest.mark.parametrize("announced", [b"100 Continue", b"103 Early Hints"])
def test_what_only_announces_an_answer_is_none(announced: bytes) -> None:
    async def story() -> None:
        received = Received().feed(b"HTTP/1.1 " + announced + b"\r\nlink: x\r\ncontent-length: 9\r\n\r\n")
        assert (received.answer.status, received.answer.is_over) == (0, False)
        assert await received.feed(WHOLE).body() == b"hello"
        assert "link" not in received.answer.headers

    run(story)


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    async def story() -> None:
        received = Received().feed(HEAD + b"\r\nhel", b"lo")
        assert not received.answer.is_complete
        received.answer.end("closed")
        assert await received.body() == b"hello"
        assert not received.answer.is_reusable

    run(story)


@pytest.mark.parametrize("sent", [WHOLE[:-1], CHUNKED[:-1], CHUNKED[:-8]], ids=["length", "last chunk", "chunk"])
def test_an_answer_that_ends_too_early_is_cut_off(sent: bytes) -> None:
    async def story() -> None:
        received = Received().feed(sent)
        received.answer.end("closed")
        with pytest.raises(CutOffError):
            await received.body()

    run(story)


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\ncontent-"], ids=["nothing", "half a head"])
def test_no_head_is_no_answer(sent: bytes) -> None:
    async def story() -> None:
        received = Received().feed(sent)
        received.answer.end("closed")
        for wait in (received.answer.head, received.body):
            with pytest.raises(NoAnswerError, match="closed"):
                await wait()

    run(story)


@pytest.mark.parametrize(
    "sent",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
        HEAD + b"x: " + b"y" * 70_000,
        HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["another protocol", "no length", "great head", "no chunk"],
)
def test_what_is_not_http_is_said_so(sent: bytes) -> None:
    async def story() -> None:
        with pytest.raises(NotHttpError):
            await Received().feed(sent).body()

    run(story)


@pytest.mark.parametrize(
    ("sent", "is_reusable"),
    [
        (WHOLE, True),
        (WHOLE.replace(b"1.1", b"1.0"), False),
        (WHOLE.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"), False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
    ],
    ids=["kept", "old", "closed", "no body"],
)
def test_a_connection_is_used_again_where_the_server_keeps_it(sent: bytes, is_reusable: bool) -> None:
    async def story() -> None:
        received = Received().feed(sent)
        await received.body()
        assert (received.answer.is_complete, received.answer.is_reusable) == (True, is_reusable)

    run(story)


def test_a_body_larger_than_wanted_is_not_waited_for() -> None:
    async def story() -> None:
        received = Received().feed(HEAD + b"content-length: 5000\r\n\r\n")
        waiting = asyncio.create_task(received.body())
        await asyncio.sleep(0)
        received.feed(b"x" * 1001)
        assert await waiting is None
        assert not received.answer.is_complete

    run(story)


def test_pieces_come_as_they_come() -> None:
    async def story() -> None:
        received = Received(in_pieces=True)
        heading = asyncio.create_task(received.answer.head())
        await asyncio.sleep(0)
        received.feed(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        assert await heading == 200
        waiting = asyncio.create_task(received.answer.piece())
        await asyncio.sleep(0)
        received.feed(b"3\r\nhel\r\n")
        assert await waiting == b"hel"
        received.feed(b"1\r\nl\r\n", b"1\r\no\r\n0\r\n\r\n")
        assert [await received.answer.piece() for _ in range(3)] == [b"lo", b"", b""]

    run(story)


def great(size: int) -> bytes:
    return HEAD + b"content-length: %d\r\n\r\n" % (size + 1) + b"x" * size


def test_a_slow_consumer_stops_the_reading_until_it_wants_more() -> None:
    async def story() -> None:
        received = Received(in_pieces=True).feed(great(300_000))
        assert received.flow.is_paused
        assert len(await received.answer.piece()) == 300_000
        assert received.flow.is_paused
        waiting = asyncio.create_task(received.answer.piece())
        await asyncio.sleep(0)
        assert not received.flow.is_paused
        received.feed(b"y")
        assert await waiting == b"y"

    run(story)


def test_an_error_of_a_stream_is_read_whole_also_where_reading_was_stopped() -> None:
    async def story() -> None:
        received = Received(in_pieces=True).feed(great(300_000))
        waiting = asyncio.create_task(received.body(1_000_000))
        await asyncio.sleep(0)
        assert not received.flow.is_paused
        received.feed(b"y")
        assert len(await waiting or b"") == 300_001

    run(story)


def test_whoever_follows_gets_what_came_before_and_reading_goes_on() -> None:
    async def story() -> None:
        received = Received(in_pieces=True).feed(great(300_000))
        taken: list[int] = []

        def take(piece: bytes) -> After:
            taken.append(len(piece))
            return After.MORE

        following = asyncio.create_task(received.answer.follow(take))
        await asyncio.sleep(0)
        assert (taken, received.flow.is_paused) == ([300_000], False)
        received.feed(b"y")
        assert taken == [300_000, 1]
        await following

    run(story)


@pytest.mark.parametrize("after", [After.ENOUGH, After.LAST])
def test_whoever_follows_says_when_it_has_enough(after: After) -> None:
    async def story() -> None:
        received = Received(in_pieces=True).feed(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        taken: list[bytes] = []

        def take(piece: bytes) -> After:
            taken.append(piece)
            return after

        following = asyncio.create_task(received.answer.follow(take))
        await asyncio.sleep(0)
        received.feed(b"1\r\na\r\n", b"1\r\nb\r\n", b"0\r\n\r\n")
        await following
        assert taken == [b"a"]
        assert received.answer.is_complete

    run(story)


def test_what_a_follower_raises_reaches_whoever_waits() -> None:
    async def story() -> None:
        received = Received(in_pieces=True).feed(HEAD + b"transfer-encoding: chunked\r\n\r\n")

        def take(_: bytes) -> After:
            raise ZeroDivisionError

        following = asyncio.create_task(received.answer.follow(take))
        await asyncio.sleep(0)
        received.feed(b"1\r\na\r\n")
        with pytest.raises(ZeroDivisionError):
            await following

    run(story)


def test_a_stream_that_breaks_off_fails_its_follower() -> None:
    async def story() -> None:
        received = Received(in_pieces=True).feed(HEAD + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n")
        following = asyncio.create_task(received.answer.follow(lambda _: After.MORE))
        await asyncio.sleep(0)
        received.answer.end("reset")
        with pytest.raises(CutOffError, match="reset"):
            await following

    run(story)


@pytest.mark.parametrize("in_pieces", [True, False])
def test_an_answer_behind_the_answer_changes_nothing_but_ends_the_connection(*, in_pieces: bool) -> None:
    async def story() -> None:
        received = Received(in_pieces=in_pieces).feed(WHOLE + b"HTTP/1.1 500 X\r\ncontent-length: 1\r\n\r\nb")

        assert await received.body() == b"hello"
        answer = received.answer
        assert (answer.status, answer.headers["content-length"], answer.is_reusable) == (200, "5", False)

    run(story)


def test_trailers_are_no_headers() -> None:
    async def story() -> None:
        received = Received().feed(CHUNKED[:-2] + b"x-a: 1\r\n\r\n")

        assert await received.body() == b"hello"
        assert "x-a" not in received.answer.headers
        assert received.answer.is_reusable

    run(story)


def test_many_small_chunks_are_a_body() -> None:
    async def story() -> None:
        received = Received().feed(HEAD + b"transfer-encoding: chunked\r\n\r\n", *[b"1\r\na\r\n" * 1000] * 100)
        received.feed(b"0\r\n\r\n")

        assert await received.body(200_000) == b"a" * 100_000

    run(story)


def test_what_stands_around_the_body_is_bounded_wherever_it_is_cut() -> None:
    async def story() -> None:
        received = Received().feed(CHUNKED[:-2] + b"x-a: ", *[b"x" * 1000] * 70)

        with pytest.raises(NotHttpError, match="trailers are larger than 65536 bytes"):
            await received.body()

    run(story)
