"""The benchmark's own clients against its own engine, and the pure parts of both."""

import fcntl
import json
import os
import socket
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlsplit

import pytest

from proxy_bench.engine import Engine, running_engine
from proxy_bench.engine_wire import STREAM_END, WORD, documented_answer, stream_events, tgi_answer
from proxy_bench.generator import run_client
from proxy_bench.quantile import percentile
from proxy_bench.request_text import PLACEHOLDER, request_parts
from proxy_bench.stream_client import Round
from proxy_bench.target import engine_target

linux = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark uses timerfd, epoll and core affinity")


def test_a_percentile_is_the_nearest_rank() -> None:
    values = [float(value) for value in range(100, 0, -1)]

    assert [percentile(values, percent) for percent in (0, 50, 99, 100)] == [1, 50, 99, 100]
    assert percentile([7.0], 99) == 7.0


def test_a_request_is_cut_where_its_number_goes() -> None:
    before, after = request_parts("http://127.0.0.1:9/generate", f'{{"prompt": "{PLACEHOLDER}"}}', ["X-Key: k"])

    request = before + b"%016d" % 42 + after
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /generate HTTP/1.1\r\nHost: 127.0.0.1:9\r\n")
    assert b"\r\nX-Key: k" in head
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body) == {"prompt": "0000000000000042"}


def test_the_engine_speaks_each_protocol() -> None:
    with_details = json.loads(tgi_answer(3, has_details=True, is_list=True).partition(b"\r\n\r\n")[2])
    documented = json.loads(documented_answer({"prompt": "p", "top_k": 1}, 2).partition(b"\r\n\r\n")[2])

    assert with_details[0]["generated_text"] == WORD * 3
    assert len(with_details[0]["details"]["tokens"]) == 3
    assert documented["generated_texts"] == [WORD * 2]
    assert documented["parameters"] == {
        "prompt": "p",
        "max_length": 512,
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 1,
        "num_return_sequences": 1,
    }


def test_a_stream_has_a_chunk_for_each_token_and_ends() -> None:
    events = stream_events(3)

    assert len(events) == 3
    assert events[-1].endswith(b"\n\n\r\n0\r\n\r\n")
    assert b'"generated_text":null' in events[0]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    core = min(os.sched_getaffinity(0))
    with running_engine(core, tmp_path_factory.mktemp("engine")) as engine:
        yield engine


@linux
def test_the_open_loop_keeps_its_rate_and_counts_from_when_a_request_was_due(engine: Engine) -> None:
    engine.set(latency_ms=20)
    before = engine.counters()["generations"]

    found, _ = run_client(
        "open_loop",
        engine_target(engine.url, "/generate", 4),
        *("--rate", "200", "--seconds", "0.25"),
        core=min(os.sched_getaffinity(0)),
        seed=1,
    )

    assert (found["requests"], found["answered"], found["errors"]) == (50, 50, 0)
    assert found["taken_p50_ms"] >= 20
    assert engine.counters()["generations"] - before == 50


@linux
def test_the_stream_client_finds_the_engines_steps(engine: Engine) -> None:
    engine.set(latency_ms=0, interval_ms=10)

    def finds_the_steps() -> bool:
        found, _ = run_client(
            "stream_client",
            engine_target(engine.url, "/generate_stream", 8),
            *("--streams", "4", "--tokens", "8", "--rounds", "2"),
            core=min(os.sched_getaffinity(0)),
            seed=2,
        )
        return 9 <= float(found["all_p50_ms"]) < 500

    # A client that gets no processor for a while finds several steps at once, with no gaps between them.
    wait_until(finds_the_steps)
    assert engine.counters()["in_flight"] == 0


@linux
def test_a_token_that_comes_in_two_parts_counts_once_and_the_text_at_the_end_does_not() -> None:
    tokens, word = 3, WORD.encode()
    parts = [b"HTTP/1.1 200 OK\r\n\r\n" + word[:2], word[2:] + word + word[:-1], word[-1:], word * tokens + STREAM_END]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = Round(listener.getsockname()[:2], [b"GET / HTTP/1.1\r\n\r\n"], tokens)
        (stream,) = one._streams.values()
        server = threading.Thread(target=serve_parts, args=(listener, stream.socket, parts))
        server.start()

        gaps = one.run()

        server.join(60)
    assert len(gaps.all) == tokens - 1
    assert gaps.all[0] == 0
    assert gaps.all[1] > 0


def serve_parts(listener: socket.socket, client: socket.socket, parts: Sequence[bytes]) -> None:
    """Send each part when the client has read the one before, however long it takes to."""
    connection, _ = listener.accept()
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.recv(1000)
        for part in parts:
            wait_until(
                lambda: queued_bytes(connection, termios.TIOCOUTQ) == queued_bytes(client, termios.FIONREAD) == 0
            )
            connection.sendall(part)


def queued_bytes(connection: socket.socket, queue: int) -> int:
    """Return how much the kernel keeps: for TIOCOUTQ what has not arrived, for FIONREAD what nobody has read."""
    return int.from_bytes(fcntl.ioctl(connection, queue, bytes(4)), sys.byteorder)


@linux
def test_a_generation_that_is_left_is_counted_as_aborted(engine: Engine) -> None:
    engine.set(latency_ms=60_000)
    address = urlsplit(engine.url)
    with socket.create_connection((address.hostname, address.port)) as client:
        body = b'{"inputs": "p", "parameters": {"max_new_tokens": 1}}'
        client.sendall(b"POST /generate HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        wait_until(lambda: engine.counters()["in_flight"] == 1)

    wait_until(lambda: engine.counters()["aborted"] == 1)
    wait_until(lambda: engine.counters()["in_flight"] == 0)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
