"""Clients that send their next requests before they have the answer, read it or not, and stay or not."""

import re
import socket
import threading
from collections.abc import Iterator

import pytest

from fakes.every_way import GENERATE, WAYS, Way
from fakes.odd_engine import OddEngine, odd_service
from fakes.running_proxy import RunningProxy, read_to_end, wait_until
from scout_proxy.http.http_protocol import BoundedProtocol
from scout_proxy.route_table import Cache

TIMEOUT_S = 60.0
KILOBYTE = 1024
# The shortest request that there is.
TINY = b"GET / HTTP/1.1\r\n\r\n"
LAST = b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningProxy, OddEngine]]:
    with odd_service(tmp_path_factory.mktemp("pipelining"), cache=Cache()) as service:
        yield service


@pytest.fixture
def proxy(odd: tuple[RunningProxy, OddEngine]) -> Iterator[RunningProxy]:
    running, engine = odd
    yield running
    engine.let_go()
    running.restore()
    wait_until(lambda: not engine.seen.in_flight, "the engine is idle", TIMEOUT_S)


@pytest.fixture
def engine(odd: tuple[RunningProxy, OddEngine]) -> OddEngine:
    return odd[1]


def generate(prompt: str) -> bytes:
    return Way(path=GENERATE, body={"prompt": prompt}).request


def send_all(connection: socket.socket, data: bytes) -> threading.Thread:
    """Send beside whoever reads the answers."""
    thread = threading.Thread(target=connection.sendall, args=(data,))
    thread.start()
    return thread


def send_until_it_has_to_wait(connection: socket.socket, piece: bytes) -> int:
    connection.settimeout(0)
    sent = 0
    while True:
        try:
            sent += connection.send(piece)
        except BlockingIOError:
            break
    connection.settimeout(TIMEOUT_S)
    return sent


def connections(proxy: RunningProxy) -> list[BoundedProtocol]:
    # Copied at once: the proxy's thread may change it meanwhile.
    return [one for one in tuple(proxy.server.server_state.connections) if isinstance(one, BoundedProtocol)]


def connection_of(proxy: RunningProxy, client: socket.socket) -> BoundedProtocol:
    """Wait for the proxy's end of a client's connection."""
    found: list[BoundedProtocol] = []

    def is_found() -> bool:
        found[:] = [one for one in connections(proxy) if one.client == client.getsockname()]
        return bool(found)

    wait_until(is_found, "it has connected", TIMEOUT_S)
    return found[0]


def test_every_way_is_answered_in_order(proxy: RunningProxy) -> None:
    connection = proxy.connect()
    sending = send_all(connection, b"".join(way.request for way in WAYS) * 3 + LAST)

    answers = read_to_end(connection)
    sending.join(TIMEOUT_S)

    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200"] * (3 * len(WAYS) + 1)
    ways = [
        rb"generated_texts",
        rb"event: done",
        rb'\[{"generated_text"',
        rb'"details"',
        rb'"details"',
        rb"chat.completion",
    ]
    places = [re.search(mark, answers) for mark in ways]
    assert all(places)
    assert answers.endswith(b'{"status":"healthy"}')


def test_thousands_of_requests_at_once_are_answered_and_few_are_kept_at_a_time(
    proxy: RunningProxy, engine: OddEngine
) -> None:
    engine.hold_back()
    connection = proxy.connect()
    connection.sendall(generate("first of thousands"))
    wait_until(lambda: engine.seen.in_flight, "the first is in flight", TIMEOUT_S)
    sending = send_all(connection, TINY * 2_000 + LAST)
    wait_until(lambda: any(one._held for one in connections(proxy)), "the others have come", TIMEOUT_S)

    (busy,) = [one for one in connections(proxy) if one._held]
    assert len(busy.pipeline) < 200
    engine.let_go()
    answers = read_to_end(connection)
    sending.join(TIMEOUT_S)

    assert answers.count(b"HTTP/1.1 200 ") == 2_002
    assert answers.index(b"generated_texts") < answers.index(b'"status":"active"')


def test_what_is_sent_ahead_of_answers_is_bounded(proxy: RunningProxy, engine: OddEngine) -> None:
    engine.hold_back()
    with proxy.connect() as connection:
        connection.sendall(generate("first of too many"))
        wait_until(lambda: engine.seen.in_flight, "the first is in flight", TIMEOUT_S)

        # As much as the buffers of the two sockets take, which is more than the proxy does.
        send_until_it_has_to_wait(connection, TINY * 1000)
        wait_until(lambda: any(one.flow.is_held for one in connections(proxy)), "nothing more is read", TIMEOUT_S)

        (busy,) = [one for one in connections(proxy) if one.flow.is_held]
        assert len(busy._held) < 400 * KILOBYTE
        assert len(busy.pipeline) < 200


def test_a_client_that_leaves_with_requests_behind_its_first_frees_the_engine(
    proxy: RunningProxy, engine: OddEngine
) -> None:
    engine.hold_back()
    cancelled = engine.seen.cancelled
    with proxy.connect() as connection:
        connection.sendall(generate("first of a leaver") + generate("next of a leaver") * 3)
        wait_until(lambda: engine.seen.in_flight, "the first is in flight", TIMEOUT_S)
        connection.sendall(TINY * 100)

    wait_until(lambda: engine.seen.cancelled == cancelled + 1, "the engine is free", TIMEOUT_S)
    wait_until(lambda: not engine.seen.in_flight, "nothing else is in flight", TIMEOUT_S)


@pytest.mark.parametrize(
    "request_",
    [
        generate("stored"),
        Way(path=GENERATE, body={"prompt": "stored", "stream": True}).request,
        b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["stored", "stored stream", "metrics"],
)
def test_a_client_that_asks_and_never_reads_is_no_memory_and_cut_off(proxy: RunningProxy, request_: bytes) -> None:
    assert proxy.post(json={"prompt": "stored"}).status_code == 200
    before = set(connections(proxy))
    with proxy.connect() as connection:
        send_until_it_has_to_wait(connection, request_)
        slow = connection_of(proxy, connection)
        wait_until(lambda: slow.flow.write_paused, "it is waited for", TIMEOUT_S)

        assert slow.transport.get_write_buffer_size() < 300 * KILOBYTE
        assert len(slow._held) < 400 * KILOBYTE
        # Another client is answered meanwhile.
        assert proxy.post(json={"prompt": "stored"}).status_code == 200
        proxy.limit(body_timeout_s=0.1)
        # Its time began under the limits of before.
        slow.loop.call_soon_threadsafe(slow._watch_reader)

        wait_until(lambda: slow not in connections(proxy), "it is cut off", TIMEOUT_S)
    wait_until(lambda: not set(connections(proxy)) - before, "no connection is left", TIMEOUT_S)


def test_a_client_that_asks_and_reads_late_gets_all_its_answers(proxy: RunningProxy) -> None:
    assert proxy.post(json={"prompt": "stored"}).status_code == 200
    request = generate("stored")
    count = 20_000
    with proxy.connect() as connection:
        sending = send_all(connection, request * count + LAST)
        wait_until(lambda: any(one.flow.write_paused for one in connections(proxy)), "it is waited for", TIMEOUT_S)

        answers = read_to_end(connection)
        sending.join(TIMEOUT_S)

    assert answers.count(b"HTTP/1.1 200 ") == count + 1
