"""An engine that sends a gigabyte, made on the fly: a documented error, or a stream that goes through; never memory."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from fakes.engine_streams import Json
from fakes.every_way import GENERATE, NATIVE_STREAM, STREAMED, WAYS, WHOLE, Way
from fakes.odd_engine import STREAM_HEAD, OddEngine, Script, after_first_event, chunk, odd_engine
from fakes.proxy_process import ProxyProcess, proxy_process
from fakes.running_proxy import route_table

MEGABYTE = 1024 * 1024
TIMEOUT_S = 100.0
# Its answers may be 32 MB, of which there are some copies while they are read.
MOST_GROWTH = 250 * MEGABYTE
FILLER = b" " * MEGABYTE


@pytest.fixture(scope="module")
def engine() -> Iterator[OddEngine]:
    with odd_engine() as engine:
        yield engine


@pytest.fixture(scope="module")
def proxy(engine: OddEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyProcess]:
    path = tmp_path_factory.mktemp("great") / "routes.json"
    with proxy_process(path, route_table(engine.url)) as proxy:
        proxy.wait_until_it_serves()
        for way in WAYS:
            assert way.ask(proxy.url, TIMEOUT_S).status_code == 200
        yield proxy


def a_gigabyte(engine: OddEngine, piece: bytes, *, beginning: bytes = b"", pieces: int = 1024) -> Script:
    """Write pieces of a megabyte, and count how many were written."""

    async def script(writer: asyncio.StreamWriter, body: Json) -> bool:
        del body
        writer.write(beginning)
        for _ in range(pieces):
            writer.write(piece)
            await writer.drain()
            engine.seen.count(MEGABYTE)
        return False

    engine.seen.written_bytes = 0
    return script


def most_memory(proxy: ProxyProcess) -> int:
    """Return the most memory that the process has had until now."""
    status = Path(f"/proc/{proxy.process.pid}/status").read_text(encoding="ascii")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


@pytest.fixture(autouse=True)
def memory_is_bounded(proxy: ProxyProcess) -> Iterator[None]:
    # An engine that broke off its answer is looked at again first.
    proxy.wait_until_it_serves()
    before = most_memory(proxy)
    yield
    assert most_memory(proxy) - before < MOST_GROWTH


@pytest.mark.parametrize(
    ("head", "piece", "says"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n", FILLER, "answer is larger than 33554432 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n", FILLER, "answer is larger than 33554432 bytes"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", chunk(FILLER), "is larger than 33554432 bytes"),
        (b"HTTP/1.1 500 X\r\ncontent-length: 1073741824\r\n\r\n", FILLER, "answer is larger than 33554432 bytes"),
        (b"HTTP/1.1 200 OK\r\nx-filler: ", FILLER, "head is larger than 65536 bytes"),
        (FILLER, FILLER, "the engine's answer is not HTTP"),
    ],
    ids=["with a length", "until the end", "in chunks", "as an error", "as a head", "as no http"],
)
def test_a_gigabyte_is_a_documented_error(
    proxy: ProxyProcess, engine: OddEngine, head: bytes, piece: bytes, says: str
) -> None:
    for way in WHOLE:
        engine.script = a_gigabyte(engine, piece, beginning=head)

        answer = way.ask(proxy.url, TIMEOUT_S)

        assert answer.status_code == way.status(500)
        assert says in way.message(answer.content)
        assert engine.seen.written_bytes < 100 * MEGABYTE


@pytest.mark.parametrize("way", STREAMED, ids=str)
def test_an_event_of_a_gigabyte_ends_its_stream(proxy: ProxyProcess, engine: OddEngine, way: Way) -> None:
    engine.script = after_first_event(a_gigabyte(engine, chunk(FILLER), beginning=chunk(b"data: ")))

    answer = way.ask(proxy.url, TIMEOUT_S)

    assert answer.status_code == 200
    assert "an event is larger than 33554432 bytes" in way.last_words(answer.content)
    assert engine.seen.written_bytes < 100 * MEGABYTE


TOKEN = (
    b'data: {"index": 1, "token": {"id": 1, "text": "%b", "logprob": 0, "special": false}, "generated_text": null}\n\n'
)


def test_a_text_of_a_gigabyte_ends_its_stream(proxy: ProxyProcess, engine: OddEngine) -> None:
    engine.script = a_gigabyte(engine, chunk(TOKEN % FILLER), beginning=STREAM_HEAD)
    way = Way(path=GENERATE, body={"prompt": "p", "stream": True, "max_length": 1000})

    answer = way.ask(proxy.url, TIMEOUT_S)

    assert answer.status_code == 200
    assert "the engine's answer is larger than" in way.last_words(answer.content)
    assert engine.seen.written_bytes < 100 * MEGABYTE


def test_a_forwarded_stream_of_more_than_may_be_kept_goes_through(proxy: ProxyProcess, engine: OddEngine) -> None:
    engine.script = a_gigabyte(engine, chunk(TOKEN % FILLER), beginning=STREAM_HEAD, pieces=300)

    received = 0
    with requests.post(proxy.url + NATIVE_STREAM, json={"inputs": "p"}, stream=True, timeout=TIMEOUT_S) as answer:
        assert answer.status_code == 200
        for piece in answer.iter_content(MEGABYTE):
            received += len(piece)

    assert received > 300 * MEGABYTE > MOST_GROWTH


def test_a_forwarded_stream_of_a_gigabyte_waits_for_its_reader(proxy: ProxyProcess, engine: OddEngine) -> None:
    engine.script = a_gigabyte(engine, chunk(TOKEN % FILLER), beginning=STREAM_HEAD)

    with requests.post(proxy.url + NATIVE_STREAM, json={"inputs": "p"}, stream=True, timeout=TIMEOUT_S) as answer:
        assert len(answer.raw.read(100)) == 100
        # What the next request is answered with shows that the proxy did all that it does for the other.
        assert requests.get(proxy.url + "/health", timeout=TIMEOUT_S).status_code == 200
        assert engine.seen.written_bytes < 100 * MEGABYTE
