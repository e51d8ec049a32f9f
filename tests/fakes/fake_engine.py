"""A TGI-shaped engine on a real socket whose behaviour a test sets: slow, overloaded, failing, garbled, dying.

It runs in a thread of its own; a test changes `behaviour` and reads the counters while it serves.
"""

import asyncio
import json
import re
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from fakes.engine_streams import (
    DONE,
    EventWriter,
    Stream,
    chat_event,
    completion_event,
    native_error,
    native_event,
    openai_error,
    openai_whole,
)
from fakes.engine_waits import Gate, left, wait
from fakes.this_machine import unused_port


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
        delay_s: Before each answer to `/generate`, a probe's generation not counted.
        delay_of_first_s: Before the first one, where it differs.
        failing_after: How many generations succeed before `failure` begins.
        proof_failure: What happens to a probe's generation; the same as `failure` where it is None.
        details: Sent with every text, where given.
        counts: Tokens of the prompt and of the text, as the headers say it.
        text: Gives the text for a request body.
        gate: Holds back what is asked of the model, after the delays.
        stream: What streams hold; `failure` and the delays come before it. The text of unstreamed /v1 answers too.
        message: Of an unstreamed chat, where it is another one.
        refuse: Gives the message with which a /v1 request is refused as invalid, for its body.
    """

    delay_s: float = 0.0
    delay_of_first_s: float | None = None
    details: dict[str, Any] | None = None
    counts: tuple[str, str] = ("3", "5")
    failure: Failure = Failure.NONE
    failing_after: int = 0
    proof_failure: Failure | None = None
    healthy: bool = True
    max_input_tokens: int = 1023
    max_total_tokens: int = 1024
    max_concurrent_requests: int = 128
    gate: Gate | None = None
    text: Callable[[dict[str, Any]], str] = lambda body: f"text {body['parameters'].get('seed')}"
    stream: Stream = field(default_factory=Stream)
    message: dict[str, Any] | None = None
    refuse: Callable[[dict[str, Any]], str | None] = lambda _: None


@dataclass
class Counters:
    """What has been seen so far."""

    generations: list[dict[str, Any]] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    tokenized: list[str] = field(default_factory=list)
    proofs: int = 0
    probes: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    cancelled: int = 0
    connections: int = 0
    written_bytes: int = 0

    def count(self, written_bytes: int) -> None:
        self.written_bytes += written_bytes


_TURNS = 5
_DEADLINE_S = 30
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


_Answer = Callable[[asyncio.StreamWriter, Behaviour, dict[str, Any]], Coroutine[Any, Any, bool]]


class FakeEngine:
    """Counts one token for every word of a text, and one for begin-of-text."""

    def __init__(self) -> None:
        self.behaviour = Behaviour()
        self.seen = Counters()
        # None of those that the system gives away: it has to be there for the next start too.
        self.port = unused_port()
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
        """Listen, always on the same port; does nothing while it listens."""
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(_DEADLINE_S)

    def kill(self) -> None:
        """Go away as a killed process does: every connection is reset, the port is closed."""
        asyncio.run_coroutine_threadsafe(self._kill(), self._loop).result(_DEADLINE_S)

    def settle(self) -> None:
        """Return when what was sent to it before has been read, also where whoever sent it has gone."""
        asyncio.run_coroutine_threadsafe(_turns(4 * _TURNS), self._loop).result(_DEADLINE_S)

    def close(self) -> None:
        """Kill, and end the thread."""
        self.kill()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_DEADLINE_S)
        self._loop.close()

    async def _start(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._connection, "127.0.0.1", self.port, limit=2**26)

    async def _kill(self) -> None:
        if self._server is not None:
            # A connection that is being accepted while the server closes would never be closed itself.
            for listener in self._server.sockets:
                self._loop.remove_reader(listener.fileno())
            await _turns(_TURNS)
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()
        for handler in self._handlers:
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)
        await _turns(_TURNS)

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
                self.seen.heads.append(head)
                return await self._generate(reader, writer, json.loads(body))
            case "POST", "/generate_stream":
                self.seen.heads.append(head)
                return await self._generate(reader, writer, json.loads(body), self._stream_native)
            case "POST", "/":
                self.seen.heads.append(head)
                asked = json.loads(body)
                answer = self._stream_native if asked.get("stream") else self._answer_list
                return await self._generate(reader, writer, {"parameters": {}, **asked}, answer)
            case "POST", "/v1/chat/completions" | "/v1/completions":
                self.seen.heads.append(head)
                return await self._generate(reader, writer, json.loads(body), self._answer_openai)
            case "POST", "/chat_tokenize":
                messages = json.loads(body)["messages"]
                found = _tokens(" ".join(message["content"] for message in messages))
                self._send(writer, 200, json.dumps({"tokenize_response": found, "templated_text": ""}))
            case _:
                self._send(writer, 404, "")
        return True

    async def _generate(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        body: dict[str, Any],
        answer: _Answer | None = None,
    ) -> bool:
        # A test may set other ones meanwhile.
        behaviour, seen = self.behaviour, self.seen
        if body.get("inputs") == "Hello" and body["parameters"].get("max_new_tokens") == 1:
            return await self._prove(writer, behaviour)
        seen.generations.append(body)
        failing = behaviour.failure is not Failure.NONE and len(seen.generations) > behaviour.failing_after
        first_s = behaviour.delay_s if behaviour.delay_of_first_s is None else behaviour.delay_of_first_s
        delay_s = first_s if len(seen.generations) == 1 else behaviour.delay_s
        seen.in_flight += 1
        seen.most_in_flight = max(seen.most_in_flight, seen.in_flight)
        try:
            if not await wait(reader, delay_s):
                seen.cancelled += 1
                return False
            if failing:
                return await self._unless_left(reader, seen, self._fail_at_gate(writer, behaviour))
            return await self._unless_left(reader, seen, (answer or self._answer_whole)(writer, behaviour, body))
        finally:
            seen.in_flight -= 1

    async def _prove(self, writer: asyncio.StreamWriter, behaviour: Behaviour) -> bool:
        self.seen.proofs += 1
        failure = behaviour.failure if behaviour.proof_failure is None else behaviour.proof_failure
        if failure is not Failure.NONE:
            return await self._fail(writer, failure)
        self._answer(writer, behaviour, {"parameters": {}})
        return True

    async def _unless_left(
        self, reader: asyncio.StreamReader, seen: Counters, answer: Coroutine[Any, Any, bool]
    ) -> bool:
        """Answer for as long as the client is there."""
        answering, leaving = asyncio.ensure_future(answer), asyncio.ensure_future(left(reader))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done() and not isinstance(answering.exception(), ConnectionError):
                return answering.result()
            seen.cancelled += 1
            return False
        finally:
            answering.cancel()
            leaving.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)

    async def _answer_whole(self, writer: asyncio.StreamWriter, behaviour: Behaviour, body: dict[str, Any]) -> bool:
        if behaviour.gate is not None:
            await behaviour.gate.wait()
        self._answer(writer, behaviour, body)
        return True

    async def _answer_list(self, writer: asyncio.StreamWriter, behaviour: Behaviour, body: dict[str, Any]) -> bool:
        self._answer(writer, behaviour, body, many=True)
        return True

    async def _answer_openai(self, writer: asyncio.StreamWriter, behaviour: Behaviour, body: dict[str, Any]) -> bool:
        script, is_chat = behaviour.stream, "messages" in body
        if (refusal := behaviour.refuse(body)) is not None:
            self._send(writer, 422, json.dumps({"error": refusal, "error_type": "validation"}))
            return True
        if body.get("stream"):
            event = chat_event(script, body) if is_chat else completion_event(script)
            return await EventWriter(
                writer, script, event=event, error=openai_error, count=self.seen.count, end=DONE
            ).write()
        if behaviour.gate is not None:
            await behaviour.gate.wait()
        self._send(writer, 200, json.dumps(openai_whole(script, body, behaviour.message)))
        return True

    async def _stream_native(self, writer: asyncio.StreamWriter, behaviour: Behaviour, body: dict[str, Any]) -> bool:
        event = native_event(behaviour.stream, body)
        return await EventWriter(
            writer, behaviour.stream, event=event, error=native_error, count=self.seen.count, gate=behaviour.gate
        ).write()

    def _answer(
        self, writer: asyncio.StreamWriter, behaviour: Behaviour, body: dict[str, Any], *, many: bool = False
    ) -> None:
        details = {} if behaviour.details is None else {"details": behaviour.details}
        one = {"generated_text": behaviour.text(body), **details}
        answer = json.dumps([one] if many else one)
        prompt, generated = behaviour.counts
        self._send(writer, 200, answer, f"x-prompt-tokens: {prompt}\r\nx-generated-tokens: {generated}\r\n")

    async def _fail_at_gate(self, writer: asyncio.StreamWriter, behaviour: Behaviour) -> bool:
        if behaviour.gate is not None:
            await behaviour.gate.wait()
        return await self._fail(writer, behaviour.failure)

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
        writer.write(head.encode() + payload)

    def _info(self) -> dict[str, Any]:
        return {
            "model_id": "fake/model",
            "max_input_tokens": self.behaviour.max_input_tokens,
            "max_total_tokens": self.behaviour.max_total_tokens,
            "max_stop_sequences": 4,
            "max_concurrent_requests": self.behaviour.max_concurrent_requests,
            "version": "3.3.6-dev0",
        }


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


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
