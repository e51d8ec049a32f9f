"""A TGI-shaped engine on a real socket whose behaviour a test sets: slow, overloaded, failing, garbled, dying.

It runs in a thread of its own; a test changes `behaviour` and reads the counters while it serves.
"""

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Failure(Enum):
    """What happens to a `/generate` that is not answered."""

    NONE = "none"
    GENERATION = "generation"
    OVERLOADED = "overloaded"
    VALIDATION = "validation"
    PLAIN_422 = "plain 422"
    PLAIN_413 = "plain 413"
    UNAUTHORIZED = "unauthorized"
    UNHEALTHY = "unhealthy"
    UNTYPED = "untyped"
    GARBAGE = "garbage"
    NOT_HTTP = "not http"
    NO_TEXT = "no text"
    TRUNCATED = "truncated"
    CLOSED = "closed"
    ENDLESS = "endless"


@dataclass
class Behaviour:
    """What the engine does next.

    Args:
        delay_s: Before each answer to `/generate`.
        delay_of_first_s: Before the first one, where it differs.
        failing_after: How many generations succeed before `failure` begins.
        details: Sent with every text, where given.
        text: Gives the text for a request body.
    """

    delay_s: float = 0.0
    delay_of_first_s: float | None = None
    details: dict[str, Any] | None = None
    failure: Failure = Failure.NONE
    failing_after: int = 0
    healthy: bool = True
    max_input_tokens: int = 1023
    max_total_tokens: int = 1024
    text: Callable[[dict[str, Any]], str] = lambda body: f"text {body['parameters'].get('seed')}"


@dataclass
class Counters:
    """What has been seen so far."""

    generations: list[dict[str, Any]] = field(default_factory=list)
    tokenized: list[str] = field(default_factory=list)
    probes: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    cancelled: int = 0
    connections: int = 0


_PLAIN = "text/plain; charset=utf-8"
_ERRORS: dict[Failure, tuple[int, str, str]] = {
    Failure.GENERATION: (
        424,
        "application/json",
        '{"error": "Request failed during generation: CUDA out of memory", "error_type": "generation"}',
    ),
    Failure.OVERLOADED: (429, "application/json", '{"error": "Model is overloaded", "error_type": "overloaded"}'),
    Failure.VALIDATION: (
        422,
        "application/json",
        '{"error": "Input validation error: `x` must be y", "error_type": "validation"}',
    ),
    Failure.PLAIN_422: (422, _PLAIN, "Failed to deserialize the JSON body into the target type"),
    Failure.PLAIN_413: (413, _PLAIN, "length limit exceeded"),
    Failure.UNAUTHORIZED: (401, _PLAIN, ""),
    Failure.UNHEALTHY: (503, "application/json", '{"error": "unhealthy", "error_type": "healthcheck"}'),
    Failure.UNTYPED: (500, "application/json", '{"message": "no"}'),
    Failure.GARBAGE: (200, "application/json", '{"generated_text": "\\ud800'),
    Failure.NO_TEXT: (200, "application/json", "[1]"),
}


class FakeEngine:
    """Counts one token for every word of a text, and one for begin-of-text."""

    def __init__(self) -> None:
        self.behaviour = Behaviour()
        self.seen = Counters()
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._handlers: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, on the port of the last time where there was one; does nothing while it listens."""
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(5)

    def kill(self) -> None:
        """Go away as a killed process does: every connection is reset, the port is closed."""
        asyncio.run_coroutine_threadsafe(self._kill(), self._loop).result(5)

    def close(self) -> None:
        """Kill, and end the thread."""
        self.kill()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _start(self) -> None:
        if self._server is not None:
            return
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", self.port, limit=2**26)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _kill(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()
        for handler in self._handlers:
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.current_task()
        assert handler is not None
        self.seen.connections += 1
        self._writers.add(writer)
        self._handlers.add(handler)
        try:
            while await self._request(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            self._handlers.discard(handler)
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
        body = await reader.readexactly(int(length[1])) if length else b""
        method, path, _ = head.split(" ", 2)
        match method, path:
            case "GET", "/info":
                self.seen.probes += 1
                self._send(writer, 200, json.dumps(self._info()))
            case "GET", "/health":
                healthy = self.behaviour.healthy
                self._send(writer, 200 if healthy else 503, "" if healthy else _ERRORS[Failure.UNHEALTHY][2])
            case "POST", "/tokenize":
                text = json.loads(body)["inputs"]
                self.seen.tokenized.append(text)
                self._send(writer, 200, json.dumps(_tokens(text), separators=(",", ":")))
            case "POST", "/generate":
                return await self._generate(reader, writer, json.loads(body))
            case _:
                self._send(writer, 404, "")
        return True

    async def _generate(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: dict[str, Any]) -> bool:
        behaviour = self.behaviour
        self.seen.generations.append(body)
        failing = behaviour.failure is not Failure.NONE and len(self.seen.generations) > behaviour.failing_after
        first_s = behaviour.delay_s if behaviour.delay_of_first_s is None else behaviour.delay_of_first_s
        delay_s = first_s if len(self.seen.generations) == 1 else behaviour.delay_s
        self.seen.in_flight += 1
        self.seen.most_in_flight = max(self.seen.most_in_flight, self.seen.in_flight)
        try:
            if not await self._wait(reader, delay_s):
                self.seen.cancelled += 1
                return False
        finally:
            self.seen.in_flight -= 1
        if failing:
            return await self._fail(writer, behaviour.failure)
        details = {} if behaviour.details is None else {"details": behaviour.details}
        answer = json.dumps({"generated_text": behaviour.text(body), **details})
        self._send(writer, 200, answer, "x-prompt-tokens: 3\r\nx-generated-tokens: 5\r\n")
        return True

    async def _wait(self, reader: asyncio.StreamReader, delay_s: float) -> bool:
        """Return False when the client went away meanwhile."""
        if delay_s <= 0:
            return True
        leaving = asyncio.ensure_future(reader.read(1))
        done, _ = await asyncio.wait({leaving}, timeout=delay_s)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        return not done

    async def _fail(self, writer: asyncio.StreamWriter, failure: Failure) -> bool:
        match failure:
            case Failure.CLOSED:
                writer.transport.abort()
            case Failure.NOT_HTTP:
                writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
            case Failure.TRUNCATED:
                writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{"generated_text": "half')
            case Failure.ENDLESS:
                writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                while True:
                    writer.write(b"100000\r\n" + b" " * 0x100000 + b"\r\n")
                    await writer.drain()
            case _:
                status, kind, text = _ERRORS[failure]
                self._send(writer, status, text, kind=kind)
                return True
        return False

    def _send(
        self, writer: asyncio.StreamWriter, status: int, text: str, headers: str = "", kind: str = "application/json"
    ) -> None:
        payload = text.encode()
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(payload)}\r\n{headers}\r\n"
        writer.write(head.encode("ascii") + payload)

    def _info(self) -> dict[str, Any]:
        return {
            "model_id": "fake/model",
            "max_input_tokens": self.behaviour.max_input_tokens,
            "max_total_tokens": self.behaviour.max_total_tokens,
            "max_stop_sequences": 4,
            "version": "3.3.6-dev0",
        }


def _tokens(text: str) -> list[dict[str, Any]]:
    found = [(0, "<bos>", 0), *((match.start(), match[0], match.end()) for match in re.finditer(r"\S+", text))]
    return [
        {"id": index, "text": word, "start": start, "stop": stop} for index, (start, word, stop) in enumerate(found)
    ]


@contextmanager
def fake_engine(behaviour: Behaviour | None = None, *, started: bool = True) -> Iterator[FakeEngine]:
    """Run a fake engine for the length of a block."""
    engine = FakeEngine()
    engine.behaviour = behaviour or Behaviour()
    if started:
        engine.start()
    try:
        yield engine
    finally:
        engine.close()
