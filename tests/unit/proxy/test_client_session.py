"""Connections to upstreams: kept, used again, given up. Against servers on this machine that a test scripts."""

import asyncio
import select
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

import pytest
import uvloop

from fakes.running_proxy import DEADLINE_S
from fakes.this_machine import unused_port
from scout_proxy.upstreams.client_answer import NoAnswerError
from scout_proxy.upstreams.client_session import ConnectError, Exchange, Origin, Session

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
# However long a machine stands still between two requests.
KEPT_S = 3600.0

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    origin: Origin = field(default_factory=lambda: Origin("http", "127.0.0.1", 0, ""))
    connections: int = 0
    lost: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)


@asynccontextmanager
async def serving(handle: Handler) -> AsyncIterator[Server]:
    seen = Server()
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        seen.connections += 1
        seen.writers.append(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await handle(reader, writer)
        finally:
            seen.lost += 1
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    seen.origin = Origin("http", "127.0.0.1", server.sockets[0].getsockname()[1], "")
    try:
        yield seen
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def saying(answer: bytes, *, times: int = 1000) -> Handler:
    """Answer so many requests of a connection, then close it."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(times):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()

    return handle


async def ask(session: Session, origin: Origin) -> bytes | None:
    exchange = await session.send(origin, REQUEST)
    try:
        return await exchange.answer.body(10_000_000)
    finally:
        exchange.close()


async def until(condition: Callable[[], object]) -> None:
    while True:
        if condition():
            return
        await asyncio.sleep(0.001)


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await story()

    # As the proxy runs.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bounded())


def test_a_connection_is_used_again() -> None:
    async def story() -> None:
        async with serving(saying(ANSWER)) as server, Session(keep_alive_s=KEPT_S) as session:
            assert [await ask(session, server.origin) for _ in range(5)] == [b"ok"] * 5
            assert server.connections == 1

    run(story)


def test_requests_at_once_have_a_connection_each() -> None:
    async def story() -> None:
        async with serving(saying(ANSWER)) as server, Session(keep_alive_s=KEPT_S) as session:
            exchanges = [await session.send(server.origin, REQUEST) for _ in range(20)]
            for exchange in exchanges:
                assert await exchange.answer.body(100) == b"ok"
                exchange.close()
            assert server.connections == 20
            assert [await ask(session, server.origin) for _ in range(5)] == [b"ok"] * 5
            assert server.connections == 20

    run(story)


async def _until_lost(session: Session, server: Server, count: int) -> None:
    """Wait until both sides know that the server has closed the connection."""
    await until(lambda: server.lost == count)
    await until(lambda: not any(one.is_open for kept in session._idle.values() for one in kept))


def test_a_connection_that_the_server_closed_meanwhile_is_not_used() -> None:
    async def story() -> None:
        async with serving(saying(ANSWER, times=1)) as server, Session() as session:
            for count in range(1, 4):
                assert await ask(session, server.origin) == b"ok"
                await _until_lost(session, server, count)
            assert server.connections == 3

    run(story)


@pytest.mark.parametrize(
    "answer",
    [
        ANSWER.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"),
        ANSWER.replace(b"1.1", b"1.0"),
        ANSWER + b"HTTP/1.1 200 OK\r\n",
    ],
    ids=["closed", "old", "more than was asked for"],
)
def test_a_connection_that_cannot_be_used_again_is_closed(answer: bytes) -> None:
    async def story() -> None:
        async with serving(saying(answer)) as server, Session() as session:
            assert [await ask(session, server.origin) for _ in range(3)] == [b"ok"] * 3
            assert server.connections == 3
            await until(lambda: server.lost == 3)

    run(story)


def test_a_server_that_speaks_unasked_is_hung_up_on() -> None:
    async def story() -> None:
        async with serving(saying(ANSWER)) as server, Session() as session:
            await ask(session, server.origin)
            server.writers[0].write(ANSWER)
            await until(lambda: server.lost == 1)
            assert await ask(session, server.origin) == b"ok"
            assert server.connections == 2

    run(story)


def test_an_idle_connection_is_closed_after_its_time() -> None:
    async def story() -> None:
        async with serving(saying(ANSWER)) as server, Session(keep_alive_s=0.01) as session:
            await ask(session, server.origin)
            await until(lambda: server.lost == 1)

    run(story)


def test_an_idle_connection_past_its_time_is_not_used_also_where_nobody_has_closed_it_yet() -> None:
    async def story() -> None:
        async with serving(saying(ANSWER)) as server, Session(keep_alive_s=0) as session:
            assert [await ask(session, server.origin) for _ in range(3)] == [b"ok"] * 3
            assert server.connections == 3

    run(story)


def test_a_request_that_is_given_up_closes_its_connection() -> None:
    async def handle(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async def story() -> None:
        async with serving(handle) as server, Session() as session:
            asking = asyncio.create_task(ask(session, server.origin))
            await until(lambda: server.connections)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await until(lambda: server.lost == 1)

    run(story)


def test_a_great_answer_is_read_whole_and_its_connection_used_again() -> None:
    size = 5_000_000
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size

    async def read_slowly(exchange: Exchange) -> int:
        received = 0
        assert await exchange.answer.head() == 200
        while piece := await exchange.answer.piece():
            received += len(piece)
            await asyncio.sleep(0.001)
        exchange.close()
        return received

    async def story() -> None:
        async with serving(saying(head + b"x" * size)) as server, Session(keep_alive_s=KEPT_S) as session:
            for _ in range(3):
                assert await read_slowly(await session.send(server.origin, REQUEST, in_pieces=True)) == size
            assert len(await ask(session, server.origin) or b"") == size
            assert server.connections == 1

    run(story)


def test_a_consumer_that_takes_nothing_makes_the_server_wait() -> None:
    written = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
        while True:
            writer.write(b"x" * 100_000)
            await writer.drain()
            written += 100_000

    async def story() -> None:
        async with serving(handle) as server, Session() as session:
            exchange = await session.send(server.origin, REQUEST, in_pieces=True)
            await exchange.answer.head()
            before = -1
            while before != written:
                before = written
                await asyncio.sleep(0.05)
            # What the buffers of two sockets take, and not what the server has.
            assert written < 50_000_000
            assert exchange.answer.waiting_bytes < 1_000_000
            exchange.close()
            await until(lambda: server.lost == 1)

    run(story)


def test_an_answer_before_the_request_was_read_does_not_spoil_the_next_one() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await asyncio.sleep(3600)

    async def story() -> None:
        async with serving(handle) as server, Session() as session:
            great = b"POST / HTTP/1.1\r\ncontent-length: 100000000\r\n\r\n" + b"x" * 100_000_000
            exchange = await session.send(server.origin, great)
            assert await exchange.answer.body(100) == b"ok"
            exchange.close()
            assert await ask(session, server.origin) == b"ok"
            assert server.connections == 2

    run(story)


def test_a_server_that_closes_before_it_answers_says_nothing() -> None:
    async def story() -> None:
        async with serving(saying(b"", times=1)) as server, Session() as session:
            with pytest.raises(NoAnswerError):
                await ask(session, server.origin)

    run(story)


def test_nobody_who_listens_is_said_so() -> None:
    async def story() -> None:
        async with Session() as session:
            with pytest.raises(ConnectError):
                await ask(session, Origin("http", "127.0.0.1", unused_port(), ""))

    run(story)


@pytest.mark.parametrize("host", ["127.0.0.1", "engine"])
def test_a_server_that_accepts_nothing_is_not_waited_for_long(host: str) -> None:
    async def hang(_: str, __: int) -> list[str]:
        await asyncio.sleep(3600)
        return []

    async def story() -> None:
        async with Session(resolve=hang, connect_timeout_s=0.05) as session:
            with pytest.raises(ConnectError, match="no connection within"):
                await _connect_to_full(session, host)

    run(story)


@contextmanager
def _full_listener() -> Iterator[int]:
    """Listen and accept nothing, with a queue that is full already."""
    with ExitStack() as opened:
        listener = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = opened.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(listener.getsockname())
        # One that waits to be accepted is all that it takes.
        assert select.select([listener], [], [], DEADLINE_S)[0]
        yield listener.getsockname()[1]


async def _connect_to_full(session: Session, host: str) -> None:
    """Ask a listener whose queue is full, or a name whose address does not come."""
    with _full_listener() as port:
        await session.send(Origin("http", host, port, ""), REQUEST)


def test_the_next_address_of_a_name_is_tried_where_nobody_listens_at_the_first_one() -> None:
    async def both(host: str, _: int) -> list[str]:
        assert host == "engine"
        return ["127.0.0.77", "127.0.0.1"]

    async def story() -> None:
        async with serving(saying(ANSWER)) as server, Session(resolve=both) as session:
            assert await ask(session, Origin("http", "engine", server.origin.port, "")) == b"ok"

    run(story)


def test_a_closed_session_keeps_no_connection() -> None:
    async def story() -> None:
        async with serving(saying(ANSWER)) as server:
            async with Session() as session:
                await ask(session, server.origin)
                exchange = await session.send(server.origin, REQUEST)
                await session.close()
                assert await exchange.answer.body(100) == b"ok"
                exchange.close()
            await until(lambda: server.lost == server.connections)

    run(story)


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("http://engine", "engine", ""),
        ("http://engine:80/", "engine", ""),
        ("http://engine:8080/base/", "engine:8080", "/base"),
        ("https://engine:443", "engine", ""),
        ("http://[::1]:3000", "[::1]:3000", ""),
    ],
)
def test_an_address_says_its_host_and_path(url: str, authority: str, path: str) -> None:
    origin = Origin.parse(url)

    assert (origin.authority, origin.path) == (authority, path)


@pytest.mark.parametrize("url", ["", "engine", "engine:80", "ftp://engine", "http://", "http://engine:port"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Origin.parse(url)
