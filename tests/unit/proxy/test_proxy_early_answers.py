"""An answer that is sent before its request was read whole reaches the client, however the client sends and reads."""

import asyncio
import select
import socket
import time
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from fakes.fake_engine import Behaviour, FakeEngine
from fakes.running_proxy import DEADLINE_S, RunningProxy, read_answer, read_to_end, wait_until
from scout_proxy.http.http_protocol import BoundedProtocol
from scout_proxy.route_table import Limits

POST = b"POST /generate HTTP/1.1\r\nHost: x\r\n"
BODY = b'{"prompt": "p"}'
UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
MEGABYTE = 1024 * 1024


@pytest.mark.parametrize(
    ("begin", "status"),
    [
        (b"PUT /nope HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 900000\r\n\r\n", 404),
        (b"PUT /generate HTTP/1.0\r\nHost: x\r\nContent-Length: 900000\r\n\r\n", 405),
        (POST + b"Content-Length: 900000\r\n\r\n", 408),
        (POST + b"Content-Length: 9000000\r\nExpect: 100-continue\r\n\r\n", 413),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"no http\r\n", 400),
        (POST, 408),
        (POST + b"X-Filler: " + b"x" * 200_000, 431),
    ],
    ids=["closed", "1.0", "slow body", "unasked body", "bad chunk", "no http", "slow head", "large head"],
)
def test_a_client_that_sends_on_and_reads_late_gets_its_answer(proxy: RunningProxy, begin: bytes, status: int) -> None:
    # Else the others have their answers before their time is over, however busy the machine is.
    if status == 408 or b"Expect" in begin:
        proxy.limit(body_timeout_s=0.1, header_timeout_s=0.1)
    connection = proxy.connect()
    connection.sendall(begin)
    select.select([connection], [], [], DEADLINE_S)

    for _ in range(50):
        connection.sendall(b"x" * 10_000)
    answer = read_to_end(connection)

    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"connection: close\r\n" in answer.lower()
    assert answer.count(b"HTTP/1.1") == 1


def test_what_is_not_http_after_a_request_does_not_cost_its_answer(proxy: RunningProxy, engine: FakeEngine) -> None:
    engine.behaviour = Behaviour(delay_s=0.05)
    connection = proxy.connect()
    connection.sendall(proxy.raw_generate(BODY) + b"\x00 no http\r\n\r\n")

    answer = read_to_end(connection)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close\r\n" in answer
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("late", [False, True])
def test_the_wish_for_another_protocol_is_ignored(proxy: RunningProxy, engine: FakeEngine, *, late: bool) -> None:
    head = POST + UPGRADE + b"Content-Length: %d\r\n\r\n" % len(BODY)
    connection = proxy.connect()
    connection.sendall(head if late else head + BODY)
    if late:
        # Answered on another connection after the head above has come.
        assert proxy.get("/health").status_code == 200
        connection.sendall(BODY)
    assert read_answer(connection).startswith(b"HTTP/1.1 200 ")

    connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\n\r\n")

    assert read_to_end(connection).endswith(b'{"status":"healthy"}')
    assert [body["inputs"] for body in engine.seen.generations] == ["p"]


def test_a_request_for_a_tunnel_is_a_400(proxy: RunningProxy) -> None:
    connection = proxy.connect()
    connection.sendall(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n")

    assert read_to_end(connection).startswith(b"HTTP/1.1 400 ")


def test_a_connection_whose_refused_body_came_late_is_not_kept_forever(proxy: RunningProxy) -> None:
    proxy.limit(header_timeout_s=0.5)
    connection = proxy.connect()
    connection.sendall(b"PUT /nope HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
    assert read_answer(connection).startswith(b"HTTP/1.1 404 ")

    connection.sendall(b"12345")

    assert read_to_end(connection) == b""


def test_a_connection_that_sends_but_a_line_break_is_not_kept_forever(proxy: RunningProxy) -> None:
    proxy.limit(header_timeout_s=0.5)
    connection = proxy.connect()
    connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert read_answer(connection).startswith(b"HTTP/1.1 200 ")

    connection.sendall(b"\r\n")

    assert read_to_end(connection) == b""


def ask_for_a_large_answer(proxy: RunningProxy) -> socket.socket:
    """Ask on a connection that is closed after the answer, of which only a small part fits into its buffers."""
    connection = proxy.connect()
    connection.sendall(POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY)
    return connection


def connections(proxy: RunningProxy) -> set[object]:
    return set(proxy.server.server_state.connections)


def test_a_client_that_takes_nothing_of_its_answer_is_not_kept(proxy: RunningProxy, engine: FakeEngine) -> None:
    engine.behaviour = Behaviour(text=lambda _: "x" * 20 * MEGABYTE)
    proxy.limit(body_timeout_s=0.2)
    before = connections(proxy)
    with ask_for_a_large_answer(proxy):
        wait_until(lambda: engine.seen.generations, "the request has come")

        wait_until(lambda: not connections(proxy) - before, "the connection is given up")


def test_a_client_that_takes_its_answer_slowly_gets_it_whole(proxy: RunningProxy, engine: FakeEngine) -> None:
    engine.behaviour = Behaviour(text=lambda _: "x" * 20 * MEGABYTE)
    # Longer than a busy machine keeps this test from reading, and less than all of it takes.
    proxy.limit(body_timeout_s=1)
    received = 0
    with ask_for_a_large_answer(proxy) as connection:
        while chunk := connection.recv(MEGABYTE, socket.MSG_WAITALL):
            received += len(chunk)
            time.sleep(0.06)

    assert received > 20 * MEGABYTE


async def no_app(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError(f"a request got here: {scope}, {receive}, {send}")


async def silent_app(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive, send
    await asyncio.Event().wait()


def talk(
    client: Callable[[socket.socket], Awaitable[None]], *, sent: bytes, linger_s: float, app: ASGIApp = no_app
) -> None:
    """Serve one end of a pair of sockets, on which `sent` waits to be read at once, and be `client` at the other."""

    async def run() -> None:
        config = Config(app, ws="none", log_config=None)
        protocol = partial(BoundedProtocol, config, ServerState(), {}, limits=Limits, linger_s=linger_s)
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MEGABYTE)
            theirs.settimeout(0)
            assert theirs.send(sent) == len(sent)
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(protocol, ours)
            async with asyncio.timeout(DEADLINE_S):
                await client(theirs)
            assert transport.is_closing()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def test_a_large_head_that_comes_all_at_once_is_a_431() -> None:
    async def read(connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        assert (await loop.sock_recv(connection, 65536)).startswith(b"HTTP/1.1 431 ")
        connection.shutdown(socket.SHUT_WR)
        assert await loop.sock_recv(connection, 65536) == b""

    talk(read, sent=b"GET / HTTP/1.1\r\nHost: x\r\nX-Filler: " + b"x" * 100_000 + b"\r\n\r\n", linger_s=DEADLINE_S)


def test_a_client_that_ends_after_its_early_answer_is_not_waited_for() -> None:
    async def read(connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        assert (await loop.sock_recv(connection, 65536)).startswith(b"HTTP/1.1 400 ")
        connection.shutdown(socket.SHUT_WR)
        assert await loop.sock_recv(connection, 65536) == b""
        connection.close()
        # The other end is closed too, and not only its direction.
        await asyncio.sleep(0.01)

    bad_chunk = POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"
    talk(read, sent=bad_chunk, linger_s=100 * DEADLINE_S, app=silent_app)


async def send_until_it_is_closed(connection: socket.socket, piece: bytes, pause_s: float) -> int:
    sent = 0
    try:
        while True:
            await asyncio.get_running_loop().sock_sendall(connection, piece)
            await asyncio.sleep(pause_s)
            sent += len(piece)
    except (BrokenPipeError, ConnectionResetError):
        return sent


def test_a_client_that_never_stops_sending_is_cut_off_in_time() -> None:
    async def send(connection: socket.socket) -> None:
        assert await send_until_it_is_closed(connection, b"x", 0.005) < 100

    talk(send, sent=b"no http\r\n", linger_s=0.05)


def test_a_client_that_never_stops_sending_is_cut_off_in_size() -> None:
    async def send(connection: socket.socket) -> None:
        assert 60 * MEGABYTE < await send_until_it_is_closed(connection, b"x" * MEGABYTE, 0) < 70 * MEGABYTE

    talk(send, sent=b"no http\r\n", linger_s=DEADLINE_S)
