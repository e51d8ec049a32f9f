"""A client that ends its direction of the connection looks like one that has gone: nothing is generated for it."""

import json
import socket
from collections.abc import Iterator

import pytest

from fakes.every_way import GENERATE, STREAMED, WAYS, Way, unchunked
from fakes.odd_engine import OddEngine, after_first_event, odd_service, silence
from fakes.running_proxy import RunningProxy, read_to_end, wait_until
from scout_proxy.route_table import Cache

GONE = "The client ended the connection before the answer; it has to stay until that has come"
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
TIMEOUT_S = 60.0


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningProxy, OddEngine]]:
    with odd_service(tmp_path_factory.mktemp("half-closed"), cache=Cache()) as service:
        yield service


@pytest.fixture
def proxy(odd: tuple[RunningProxy, OddEngine]) -> Iterator[RunningProxy]:
    running, engine = odd
    yield running
    engine.let_go()
    engine.script = None
    engine.settle()
    wait_until(lambda: not engine.seen.in_flight, "the engine is idle", TIMEOUT_S)
    running.wait_for("active")


@pytest.fixture
def engine(odd: tuple[RunningProxy, OddEngine]) -> OddEngine:
    return odd[1]


def half_closed(proxy: RunningProxy, request: bytes) -> bytes:
    """Send a request, end this direction, and return what comes in the other one."""
    connection = proxy.send(request)
    connection.shutdown(socket.SHUT_WR)
    return read_to_end(connection)


def statuses(answers: bytes) -> list[bytes]:
    return [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]]


def generate(prompt: str) -> bytes:
    return Way(path=GENERATE, body={"prompt": prompt}).request


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_what_would_be_generated_is_a_499_that_says_why(proxy: RunningProxy, engine: OddEngine, way: Way) -> None:
    engine.hold_back()

    answer = half_closed(proxy, way.request)

    assert statuses(answer) == [b"499"]
    assert b"\r\nconnection: close" in answer
    assert way.message(answer.partition(b"\r\n\r\n")[2]) == GONE
    wait_until(lambda: not engine.seen.in_flight, "the engine is free", TIMEOUT_S)


@pytest.mark.parametrize("way", STREAMED, ids=str)
def test_a_stream_that_has_begun_ends_with_an_error_event(proxy: RunningProxy, engine: OddEngine, way: Way) -> None:
    engine.script = after_first_event(silence)
    connection = proxy.send(way.request)
    begun = b""
    while b"one" not in begun:
        begun += connection.recv(65536)

    connection.shutdown(socket.SHUT_WR)

    assert way.last_words(unchunked(begun + read_to_end(connection))) == GONE
    wait_until(lambda: not engine.seen.in_flight, "the engine is free", TIMEOUT_S)


def test_another_client_keeps_the_generation_that_they_share(proxy: RunningProxy, engine: OddEngine) -> None:
    engine.hold_back()
    with proxy.send(generate("shared")) as stays:
        wait_until(lambda: engine.seen.in_flight, "it is generated", TIMEOUT_S)
        assert statuses(half_closed(proxy, generate("shared"))) == [b"499"]

        engine.let_go()

        assert stays.recv(12) == b"HTTP/1.1 200"


def test_what_is_there_already_is_answered(proxy: RunningProxy) -> None:
    stored = {"prompt": "stored"}
    assert proxy.post(json=stored).status_code == 200

    assert half_closed(proxy, HEALTH).endswith(b'{"status":"healthy"}')
    assert statuses(half_closed(proxy, generate("stored"))) == [b"200"]
    streamed = Way(path=GENERATE, body={**stored, "stream": True}).request
    assert b"event: done\n" in unchunked(half_closed(proxy, streamed))
    assert statuses(half_closed(proxy, Way(path=GENERATE, body={}).request)) == [b"422"]
    assert statuses(half_closed(proxy, b"GET /nope HTTP/1.1\r\nHost: x\r\n\r\n")) == [b"404"]


def test_each_of_several_requests_has_its_answer(proxy: RunningProxy, engine: OddEngine) -> None:
    assert proxy.post(json={"prompt": "stored"}).status_code == 200
    engine.hold_back()
    asked = (HEALTH, generate("stored"), generate("new"), HEALTH, generate("newer"), generate("stored"))

    answers = half_closed(proxy, b"".join(asked))

    assert statuses(answers) == [b"200", b"200", b"499", b"200", b"499", b"200"]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_half_a_request_is_a_400(proxy: RunningProxy, engine: OddEngine, way: Way) -> None:
    before = len(engine.seen.generations)
    for length in (5, way.request.index(b"\r\n\r\n"), len(way.request) - 1):
        answer = half_closed(proxy, way.request[:length])

        assert statuses(answer) == [b"400"]
        detail = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert detail == {"detail": "The connection ended in the middle of the request"}
    assert len(engine.seen.generations) == before


def test_half_a_request_behind_another_costs_no_answer(proxy: RunningProxy) -> None:
    assert statuses(half_closed(proxy, HEALTH + b"GET /hea"))[0] == b"200"
    assert half_closed(proxy, b"") == b""
