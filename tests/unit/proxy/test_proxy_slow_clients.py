"""Clients that send a byte now and then, and clients that read one: each is given its time, and no more."""

import json
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from time import monotonic

import pytest

from fakes.every_way import NATIVE_STREAM, STREAMED, WAYS, WHOLE, Way
from fakes.odd_engine import OddEngine, after_first_event, large_events, odd_service, silence
from fakes.running_proxy import RunningProxy, read_to_end, wait_until

TIMEOUT_S = 60.0
PACE_S = 0.01
LARGE = "x" * 20_000_000


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningProxy, OddEngine]]:
    with odd_service(tmp_path_factory.mktemp("slow-clients")) as service:
        yield service


@pytest.fixture
def proxy(odd: tuple[RunningProxy, OddEngine]) -> Iterator[RunningProxy]:
    running, engine = odd
    running.wait_for("active")
    yield running
    engine.script = None
    running.restore()
    wait_until(lambda: not engine.seen.in_flight, "the engine is idle", TIMEOUT_S)


@pytest.fixture
def engine(odd: tuple[RunningProxy, OddEngine]) -> OddEngine:
    return odd[1]


def drip(connection: socket.socket, piece: bytes) -> bytes:
    """Send it again and again until there is an answer, and return that."""
    while not select.select([connection], [], [], PACE_S)[0]:
        connection.sendall(piece)
    return read_to_end(connection)


def drip_until_closed(connection: socket.socket, piece: bytes) -> bytes:
    """Send it again and again until the server closes, and return what it said."""
    received = b""
    try:
        while True:
            if select.select([connection], [], [], PACE_S)[0]:
                if not (more := connection.recv(65536)):
                    return received
                received += more
            connection.sendall(piece)
    except (BrokenPipeError, ConnectionResetError):
        return received
    finally:
        connection.close()


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def heard(proxy: RunningProxy, begun: bytes) -> bytes:
    """Begin a connection with this, go on drop by drop until it is closed, and return what is answered.

    A client that its machine has kept from saying anything in time is closed without a word; it tries again.
    """
    answers = (drip_until_closed(proxy.send(begun), b"a") for _ in range(10))
    return next(filter(None, answers), b"")


@pytest.mark.parametrize("begun", [b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: "], ids=["line", "header"])
def test_a_head_that_comes_drop_by_drop_is_a_408(proxy: RunningProxy, begun: bytes) -> None:
    proxy.limit(header_timeout_s=0.3)

    answer = heard(proxy, begun)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body_of(answer)) == {"detail": "The request's head did not arrive in time"}


def test_line_breaks_drop_by_drop_are_no_request(proxy: RunningProxy) -> None:
    proxy.limit(header_timeout_s=0.3)

    assert drip_until_closed(proxy.connect(), b"\r\n") == b""


def test_the_next_head_that_comes_drop_by_drop_is_a_408(proxy: RunningProxy) -> None:
    proxy.limit(header_timeout_s=0.3)

    answers = heard(proxy, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /")

    assert answers.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in answers


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize(
    ("head", "piece"),
    [("Content-Length: 1000000", b" "), ("Transfer-Encoding: chunked", b"1\r\n \r\n")],
    ids=["with a length", "in chunks"],
)
def test_a_body_that_comes_drop_by_drop_is_a_408(
    proxy: RunningProxy, engine: OddEngine, way: Way, head: str, piece: bytes
) -> None:
    proxy.limit(body_timeout_s=0.3)
    before = len(engine.seen.generations)

    answer = drip(proxy.send(f"POST {way.path} HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode()), piece)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert way.message(body_of(answer)) == "The request body did not arrive within 0.3 s"
    assert len(engine.seen.generations) == before


def test_a_body_that_nobody_waits_for_is_given_its_time_too(proxy: RunningProxy) -> None:
    proxy.limit(body_timeout_s=0.3)

    answer = drip_until_closed(proxy.send(b"PUT /nope HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"), b" ")

    assert answer.startswith(b"HTTP/1.1 404 ")


@contextmanager
def one_byte_at_a_time(connection: socket.socket) -> Iterator[None]:
    """Read in the background for the length of a block."""
    is_over = threading.Event()

    def read() -> None:
        try:
            while not is_over.wait(PACE_S) and connection.recv(1):
                pass
        except OSError:
            return

    reader = threading.Thread(target=read)
    with connection:
        reader.start()
        try:
            yield
        finally:
            is_over.set()
            reader.join(TIMEOUT_S)


def assert_it_is_cut_off(proxy: RunningProxy, engine: OddEngine, request: bytes) -> None:
    before, asked = set(proxy.server.server_state.connections), len(engine.seen.generations)

    def is_open() -> bool:
        return bool(set(proxy.server.server_state.connections) - before)

    with one_byte_at_a_time(proxy.send(request)):
        wait_until(lambda: len(engine.seen.generations) > asked, "it has asked", TIMEOUT_S)
        wait_until(lambda: not is_open(), "it is cut off", TIMEOUT_S)
        wait_until(lambda: not engine.seen.in_flight, "the engine is free", TIMEOUT_S)
    assert proxy.get("/health").status_code == 200


@pytest.mark.parametrize("way", WHOLE, ids=str)
def test_who_reads_a_large_answer_byte_by_byte_is_cut_off(proxy: RunningProxy, engine: OddEngine, way: Way) -> None:
    proxy.limit(body_timeout_s=0.3)
    engine.behaviour.text = lambda _: LARGE
    engine.behaviour.message = {"role": "assistant", "content": LARGE}
    if way.path.endswith("/v1/completions"):
        engine.behaviour.stream = type(engine.behaviour.stream)(tokens=(LARGE,))
    try:
        assert_it_is_cut_off(proxy, engine, way.request)
    finally:
        engine.behaviour = type(engine.behaviour)()


@pytest.mark.parametrize("way", STREAMED, ids=str)
def test_who_reads_a_stream_byte_by_byte_is_cut_off_and_frees_the_engine(
    proxy: RunningProxy, engine: OddEngine, way: Way
) -> None:
    proxy.limit(body_timeout_s=0.3)
    # A stream that ended early would be an engine that is lost for a moment.
    engine.script = after_first_event(large_events(300, 100_000, then=silence))

    assert_it_is_cut_off(proxy, engine, way.request)


def test_who_reads_a_stream_slowly_and_steadily_gets_it_whole(proxy: RunningProxy, engine: OddEngine) -> None:
    proxy.limit(body_timeout_s=1)
    engine.script = after_first_event(large_events(300, 100_000))
    for _ in range(10):
        received, longest_pause_s = read_slowly(proxy)
        # On a machine that stands still for so long nobody reads steadily.
        if received.endswith(b"\r\n0\r\n\r\n") or longest_pause_s < 0.5:
            break
        proxy.wait_for("active")

    assert received.endswith(b"\r\n0\r\n\r\n")
    assert len(received) > 300 * 100_000


def read_slowly(proxy: RunningProxy) -> tuple[bytes, float]:
    """Return what comes until the end, and the longest time that passed between two looks."""
    pause, pieces, looks_s = threading.Event(), [b""], [monotonic()]
    with proxy.send(Way(path=NATIVE_STREAM, body={"inputs": "p"}).request) as connection, suppress(ConnectionError):
        while not pieces[-1].endswith(b"\r\n0\r\n\r\n") and (more := connection.recv(500_000)):
            pieces.append(more)
            looks_s.append(monotonic())
            pause.wait(0.03)
    return b"".join(pieces), max(after_s - before_s for before_s, after_s in pairwise([*looks_s, monotonic()]))
