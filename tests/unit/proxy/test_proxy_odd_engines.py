"""An engine that answers garbage, half an answer, nothing or too slowly: an error in the form of every route."""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import requests

from fakes.engine_streams import Json
from fakes.every_way import STREAMED, WAYS, WHOLE, Way
from fakes.odd_engine import (
    STREAM_HEAD,
    OddEngine,
    Script,
    after_first_event,
    chunk,
    odd_engine,
    repeating,
    reset,
    saying,
    silence,
    whole,
)
from fakes.running_proxy import RunningProxy, route_table, running_proxy, wait_until

TIMEOUT_S = 60.0
TEXT = b'{"generated_text": "one"}'


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningProxy, OddEngine]]:
    path = tmp_path_factory.mktemp("odd") / "routes.json"
    with odd_engine() as engine, running_proxy(path, route_table(engine.url)) as proxy:
        yield proxy, engine


@pytest.fixture
def proxy(odd: tuple[RunningProxy, OddEngine]) -> Iterator[RunningProxy]:
    """The proxy with its engine as at the beginning, and at the end a proof that both still work."""
    running, engine = odd
    running.wait_for("active")
    yield running
    engine.script = None
    running.restore()
    running.wait_for("active")
    for way in WAYS:
        assert way.ask(running.url, TIMEOUT_S).status_code == 200


@pytest.fixture
def engine(odd: tuple[RunningProxy, OddEngine]) -> OddEngine:
    return odd[1]


@dataclass(frozen=True, kw_only=True)
class Case:
    """What an engine does, and the documented answer to a whole request and to one for a stream."""

    script: Script
    status: int
    says: str
    stream_says: str = ""


NO_STREAM = "the engine's answer is not a stream of events"
LOST = "Model or tokenizer not loaded"
CUT_OFF = "the engine's answer ended too early"
CASES = {
    "no http": Case(script=saying(b"\x00\xff garbage\r\n\r\n"), status=500, says="the engine's answer is not HTTP"),
    "another protocol": Case(
        script=saying(b"HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"),
        status=500,
        says="the engine's answer is not HTTP",
    ),
    "two lengths": Case(
        script=saying(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}}"),
        status=500,
        says="the engine's answer is not HTTP",
    ),
    "a head without end": Case(
        script=repeating(b"x-filler: " + b"x" * 1000 + b"\r\n", beginning=b"HTTP/1.1 200 OK\r\n"),
        status=500,
        says="head is larger than 65536 bytes",
    ),
    "one announcement after the other": Case(
        script=repeating(b"HTTP/1.1 100 Continue\r\n\r\n" * 100), status=500, says="head is larger than 65536 bytes"
    ),
    "a chunk of no size": Case(
        script=saying(STREAM_HEAD + b"zz\r\n"), status=500, says="the engine's answer is not HTTP"
    ),
    "trailers without end": Case(
        script=repeating(b"x-filler: " + b"x" * 1000 + b"\r\n", beginning=STREAM_HEAD + chunk(TEXT) + b"0\r\n"),
        status=500,
        says="trailers are larger than 65536 bytes",
    ),
    "one trailer without end": Case(
        script=repeating(b"x" * 1000, beginning=STREAM_HEAD + chunk(TEXT) + b"0\r\nx-filler: "),
        status=500,
        says="trailers are larger than 65536 bytes",
    ),
    "a page": Case(script=saying(whole(b"<html>")), status=500, says="engine's answer is not", stream_says=NO_STREAM),
    "no text": Case(script=saying(whole(b'{"x": "\xff"}')), status=500, says="not", stream_says=NO_STREAM),
    "half a character": Case(
        script=saying(whole(b'{"generated_text": "\\ud800"}')), status=500, says="not", stream_says=NO_STREAM
    ),
    "another form": Case(script=saying(whole(b"[]")), status=500, says="engine's answer", stream_says=NO_STREAM),
    "a number": Case(
        script=saying(whole(b'{"generated_text": 5}')), status=500, says="engine's answer", stream_says=NO_STREAM
    ),
    "too deep": Case(script=saying(whole(b"[" * 9_999)), status=500, says="not", stream_says=NO_STREAM),
    "compressed": Case(
        script=saying(whole(b"\x1f\x8b\x08\x00", b"content-encoding: gzip\r\n")),
        status=500,
        says="engine's answer is not",
        stream_says=NO_STREAM,
    ),
    "an empty answer": Case(script=saying(whole(b"")), status=500, says="not", stream_says=NO_STREAM),
    "no content": Case(
        script=saying(b"HTTP/1.1 204 No Content\r\n\r\n"), status=500, says="the engine answered 204: status 204"
    ),
    "elsewhere": Case(
        script=saying(b"HTTP/1.1 302 X\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"),
        status=500,
        says="the engine answered 302",
    ),
    "a status of its own": Case(
        script=saying(b"HTTP/1.1 999 X\r\ncontent-length: 5\r\n\r\nagain"),
        status=500,
        says="the engine answered 999: again",
    ),
    "an error without words": Case(
        script=saying(b'HTTP/1.1 500 X\r\ncontent-length: 13\r\n\r\n{"error": {}}'),
        status=500,
        says='the engine answered 500: {"error": {}}',
    ),
    "nothing": Case(script=saying(b"", closes=True), status=503, says=LOST),
    "a reset": Case(script=reset, status=503, says=LOST),
    "half a head": Case(script=saying(b"HTTP/1.1 200 OK\r\ncontent-", closes=True), status=503, says=LOST),
    "half an answer": Case(
        script=saying(whole(TEXT)[:-1], closes=True), status=500, says=CUT_OFF, stream_says=NO_STREAM
    ),
    "half a chunk": Case(script=saying(STREAM_HEAD + b"ff\r\ndata: {", closes=True), status=500, says=CUT_OFF),
}


def ask_each(proxy: RunningProxy, ways: Sequence[Way]) -> Iterator[tuple[Way, requests.Response]]:
    """Ask in every way, each time with an engine that serves."""
    for way in ways:
        proxy.wait_for("active")
        yield way, way.ask(proxy.url, TIMEOUT_S)


def ask_at_once(proxy: RunningProxy, ways: Sequence[Way]) -> list[tuple[Way, requests.Response]]:
    with ThreadPoolExecutor(len(ways)) as threads:
        return list(zip(ways, threads.map(lambda way: way.ask(proxy.url, TIMEOUT_S), ways), strict=True))


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_what_is_no_answer_is_a_documented_error(proxy: RunningProxy, engine: OddEngine, case: Case) -> None:
    engine.script = case.script

    for way, answer in ask_each(proxy, WAYS):
        says = (way.is_streamed and case.stream_says) or case.says
        # That half of a generation was lost is a 500 in TGI's own words too.
        assert answer.status_code == (500 if says == CUT_OFF else way.status(case.status)), way
        message = way.message(answer.content)
        assert says in message
        assert message.startswith("Generation failed: ") == (case.status == 500 and not way.is_native)


GOING_ON: dict[str, tuple[Script, str]] = {
    "a reset": (reset, CUT_OFF),
    "the connection's end": (saying(b"", closes=True), CUT_OFF),
    "a stream's end": (saying(chunk(b"")), "the engine's answer ended before the generation did"),
    "half an event": (saying(chunk(b'data: {"x') + chunk(b"")), "the engine's answer ended before the generation did"),
    "a chunk of no size": (saying(b"zz\r\n"), "the engine's answer is not HTTP"),
    "no json": (saying(chunk(b"data: {no}\n\n")), "the engine's stream holds what is not JSON"),
    "no text": (saying(chunk(b'data: {"x": "\xff"}\n\n')), "the engine's stream holds what is not JSON"),
    "a list": (saying(chunk(b"data: []\n\n")), "the engine's stream holds what is not an event"),
    "trailers without end": (repeating(b"x: y\r\n" * 100, beginning=b"0\r\n"), "trailers are larger than 65536 bytes"),
}


@pytest.mark.parametrize(("script", "says"), GOING_ON.values(), ids=list(GOING_ON))
def test_a_stream_that_goes_wrong_ends_with_an_error_event(
    proxy: RunningProxy, engine: OddEngine, script: Script, says: str
) -> None:
    engine.script = after_first_event(script)

    for way, answer in ask_each(proxy, STREAMED):
        assert answer.status_code == 200
        assert b"one" in answer.content
        assert says in way.last_words(answer.content)


@pytest.mark.parametrize("script", [silence, repeating(b"x", pause_s=0.01)], ids=["silent", "byte by byte"])
def test_an_engine_that_takes_too_long_is_a_504(proxy: RunningProxy, engine: OddEngine, script: Script) -> None:
    async def begun(writer: asyncio.StreamWriter, body: Json) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\ncontent-type: text/event-stream\r\n\r\n")
        return await script(writer, body)

    engine.script = begun
    proxy.limit(deadline_s=0.3)

    for way, answer in ask_at_once(proxy, WAYS):
        assert answer.status_code == 504
        assert way.message(answer.content).startswith("The deadline of 0.3 s passed")
    wait_until(lambda: not engine.seen.in_flight, "the generations have ended", TIMEOUT_S)


@pytest.mark.parametrize("script", [silence, repeating(b"1\r\n:\r\n", pause_s=0.01)], ids=["silent", "byte by byte"])
def test_a_stream_that_takes_too_long_ends_with_an_error_event(
    proxy: RunningProxy, engine: OddEngine, script: Script
) -> None:
    engine.script = after_first_event(script)
    # Time enough for the first event, also on a busy machine.
    proxy.limit(deadline_s=2)

    for way, answer in ask_at_once(proxy, STREAMED):
        assert answer.status_code == 200
        assert way.last_words(answer.content).startswith("The deadline of 2 s passed")
    wait_until(lambda: not engine.seen.in_flight, "the generations have ended", TIMEOUT_S)


def test_of_two_answers_the_first_counts_and_the_other_answers_nothing(proxy: RunningProxy, engine: OddEngine) -> None:
    engine.script = saying(whole(TEXT) + whole(b'{"generated_text": "another one"}'))
    before = engine.seen.connections

    for _ in range(2):
        for _, answer in ask_each(proxy, WHOLE[:2]):
            assert answer.status_code == 200
            assert "another" not in answer.text

    # On the connections that said too much nothing is asked again.
    assert engine.seen.connections >= before + 3


def test_an_engines_headers_for_its_connection_and_for_proxies_stay_here(
    proxy: RunningProxy, engine: OddEngine
) -> None:
    own = b"x-total-time: 5\r\nx-hop: 1\r\nconnection: X-Hop\r\nx-accel-redirect: /secret\r\nset-cookie: a=b\r\n"
    engine.script = saying(whole(TEXT, own))

    for _, answer in ask_each(proxy, WHOLE):
        assert not {"x-hop", "x-accel-redirect", "set-cookie"} & {name.lower() for name in answer.headers}
    assert WHOLE[1].ask(proxy.url, TIMEOUT_S).headers["X-Total-Time"] == "5"
