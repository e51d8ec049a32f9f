"""The server's protocol on whatever bytes, cut wherever: it raises nothing, and says nothing but HTTP."""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from itertools import pairwise
from threading import get_ident
from typing import Any

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from fakes.own_time import run_in_own_time
from scout_proxy.errors import ClientGoneError
from scout_proxy.http.http_protocol import BoundedProtocol
from scout_proxy.http.request_body import read_body
from scout_proxy.route_table import Limits

POST = b"POST /generate HTTP/1.1\r\nHost: x\r\n"
KNOWN = b'{"prompt": "known"}'
PARTS = (
    b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"HEAD /x HTTP/1.1\r\nConnection: close\r\n\r\n",
    POST + b"Content-Length: %d\r\n\r\n%b" % (len(KNOWN), KNOWN),
    POST + b"Content-Length: 5\r\n\r\n12345",
    POST + b"Content-Length: 5\r\n\r\n",
    POST + b"Content-Length: 5\r\nConnection: close\r\n\r\n12345",
    POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nX-Trailer: a\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\n",
    POST + b"Expect: 100-continue\r\nContent-Length: 1\r\n\r\n",
    POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}",
    b"CONNECT x:1 HTTP/1.1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"X-Filler: " + b"x" * 3000 + b"\r\n",
    b"x" * 5000,
    b"\r\n",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b"3\r\nabc\r\n",
    b"zz\r\n",
    b"\x00\xff\xfe",
)


class Wire(asyncio.Transport):
    """Keeps what is written; closes as a socket does, in the loop's next turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.said = bytearray()
        self.protocol: BoundedProtocol | None = None
        self._loop = loop
        self._is_closing = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        del name
        return default

    def write(self, data: Any) -> None:
        assert not self._is_closing, "written after the end"
        self.said += data

    def write_eof(self) -> None:
        pass

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            assert self.protocol is not None
            self._loop.call_soon(self.protocol.connection_lost, None)

    abort = close

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading

    def get_write_buffer_size(self) -> int:
        return 0


class Known:
    """Knows every body that begins as it should, where the headers ask for nothing special; says it again."""

    def read(self, headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
        names = {name for name, _ in headers}
        return None if b"cache-control" in names else dict(headers).get(b"x-say", b"")

    def find(self, asked: bytes, body: bytes) -> tuple[bytes, bytes] | None:
        return answer_to(asked, body) if body.startswith(KNOWN[:-1]) else None


def answer_to(asked: bytes, body: bytes) -> tuple[bytes, bytes]:
    said = asked + body
    return b"content-length: %d\r\n" % len(said), said


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Read what is generated from, say it again, and answer everything else too."""
    said = b"ok"
    if scope["path"] == "/generate":
        headers = dict(scope["headers"])
        with suppress(ClientGoneError):
            said = headers.get(b"x-say", b"") + await read_body(headers, receive, Limits())
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(said))]})
    await send({"type": "http.response.body", "body": said})


def talk(parts: Iterable[bytes], *, ends: bool) -> tuple[bytes, ServerState]:
    """Return what the server said to these bytes, and what it keeps at the end."""

    async def run() -> tuple[bytes, ServerState]:
        config, state = Config(app, ws="none", log_config=None), ServerState()
        wire = Wire(asyncio.get_running_loop())
        protocol = wire.protocol = BoundedProtocol(config, state, {}, limits=Limits, quick=Known())
        protocol.connection_made(wire)
        for part in parts:
            if wire.is_closing():
                break
            protocol.data_received(part)
            await turns()
        if not wire.is_closing() and (not ends or not protocol.eof_received()):
            wire.close()
        await turns()
        return bytes(wire.said), state

    # In which no time limit passes.
    return run_in_own_time(run())


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class Answers:
    """Reads answers one after the other."""

    def __init__(self, said: bytes) -> None:
        self.statuses: list[int] = []
        self.bodies: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)
        self._parser.feed_data(said)

    def on_headers_complete(self) -> None:
        self.statuses.append(self._parser.get_status_code())
        self.bodies.append(b"")

    def on_body(self, body: bytes) -> None:
        self.bodies[-1] += body


def cut(data: bytes, places: list[int]) -> list[bytes]:
    at = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[begin:end] for begin, end in pairwise(at)]


@given(
    parts=st.lists(st.sampled_from(PARTS), min_size=1, max_size=8),
    places=st.lists(st.integers(0, 100_000), max_size=12),
    ends=st.booleans(),
)
@settings(derandomize=True, max_examples=300)
def test_any_bytes_cut_anywhere_are_answered_with_http_or_not_at_all(
    parts: list[bytes], places: list[int], ends: bool
) -> None:
    said, state = talk(cut(b"".join(parts), places), ends=ends)

    assert set(Answers(without_head_requests(said, parts)).statuses) <= {100, 200, 400, 404, 408, 413, 431}
    assert not state.connections


def without_head_requests(said: bytes, parts: list[bytes]) -> bytes:
    """Leave out what cannot be read without knowing its request: an answer to HEAD has a length and no body."""
    return b"" if any(part.startswith(b"HEAD") for part in parts) else said


@given(
    requests=st.lists(st.sampled_from([PARTS[0], PARTS[3], PARTS[4], PARTS[7], PARTS[8]]), min_size=1, max_size=20),
    places=st.lists(st.integers(0, 100_000), max_size=30),
)
@settings(derandomize=True, max_examples=100)
def test_every_request_has_its_answer_however_it_is_cut(requests: list[bytes], places: list[int]) -> None:
    said, _ = talk(cut(b"".join(requests), places), ends=True)

    assert Answers(said).statuses == [200] * len(requests)


HEADS = (
    POST + b"Content-Length: %d\r\n\r\n",
    POST + b"X-Say: a\r\nContent-Length: %d\r\n\r\n",
    POST + b"X-Say: b\r\nContent-Length: %d\r\n\r\n",
    POST + b"content-length:%d\r\nX-Say: b\r\n\r\n",
    POST + b"content-length:  %d \r\n\r\n",
    POST + b"Content-Length: %d\r\nCache-Control: no-cache\r\n\r\n",
    POST + b"X-Say: content-length: 1\r\nContent-Length: %d\r\n\r\n",
    POST + b"Content-Length: %d\r\nContent-Length: 17\r\n\r\n",
    POST + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n",
)
BODIES = (KNOWN, KNOWN[:-1] + b"}  ", KNOWN[:-1] + b', "seed": 1}', b"", b"{}", KNOWN * 40)


@given(
    requests=st.lists(
        st.tuples(
            st.sampled_from(HEADS) | st.just(HEADS[0]),
            st.sampled_from(BODIES) | st.just(KNOWN),
            st.sampled_from((0, 0, 0, 0, 0, 1, -1, 1000)),
            st.sampled_from((b"", b"", b"", b"", b"\r\n", PARTS[0])),
        ),
        min_size=2,
        max_size=8,
    )
)
@settings(derandomize=True, max_examples=300)
def test_heads_that_come_again_say_what_the_parser_says(requests: list[tuple[bytes, bytes, int, bytes]]) -> None:
    sent = [head % (len(body) + off) + body + behind for head, body, off, behind in requests]

    at_once, _ = talk(sent, ends=True)
    # What does not come at once is for the parser and the application alone.
    dripped, _ = talk([piece for one in sent for piece in (one[:1], one[1:])], ends=True)

    answers, others = (list(zip(one.statuses, one.bodies, strict=True)) for one in (Answers(at_once), Answers(dripped)))
    # Of bytes that are no request, which come while another is answered, nothing is said but that the connection ends.
    both = slice(min(len(answers), len(others)) if any(off for _, _, off, _ in requests) else None)
    assert answers[both] == others[both]


@pytest.fixture(autouse=True)
def no_error_is_logged(caplog: pytest.LogCaptureFixture) -> Any:
    yield
    records = [record for record in caplog.get_records("call") if record.thread == get_ident()]
    assert not [record for record in records if record.levelno >= logging.ERROR]
