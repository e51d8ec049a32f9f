"""Speak to llama.cpp's own HTTP server, which listens on loopback behind a key that only this process knows.

Two ways lead to llama.cpp. `Server.handle_completions(json, callback)` calls back inside this process, but it answers
in OpenAI's form without token ids, holds one Python thread for each request, and cannot be cancelled before its next
token: a request that waits for a slot could not be withdrawn. Its HTTP server has none of these limits: closing the
connection withdraws a request whether it waits or runs. So this is HTTP, one connection for each request, read by a
protocol of our own: a general client costs several times as much per token.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Self, TypedDict, cast

import httptools

_EVENT_END = b"\n\n"
_OK = 200


class Probability(TypedDict):
    """A candidate for one token: its id and its log-probability."""

    id: int
    logprob: float


class SampledProbability(Probability):
    """The token that was taken, with the likeliest ones."""

    top_logprobs: list[Probability]


class CompletionEvent(TypedDict, total=False):
    """One event of /completion: a token with its text, or, where `stop` is true, the end."""

    content: str
    tokens: list[int]
    tokens_predicted: int
    completion_probabilities: list[SampledProbability]
    stop: bool
    stop_type: str


class LlamaError(Exception):
    """llama.cpp refused a request or failed while it answered.

    `status` is its HTTP status, 0 for a lost connection.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class LlamaClient:
    """Requests to one llama.cpp server."""

    def __init__(self, host: str, port: int, api_key: str) -> None:
        self._host = host
        self._port = port
        self._head = f" HTTP/1.1\r\nHost: llama\r\nAuthorization: Bearer {api_key}\r\nConnection: close\r\n".encode()

    async def get(self, path: str) -> bytes:
        """Return the body of a GET.

        Raises:
            LlamaError: The answer is not 200, or none came.
        """
        return await self._whole_answer(b"GET " + path.encode() + self._head + b"\r\n")

    async def post(self, path: str, body: Mapping[str, object]) -> dict[str, object]:
        """Return the JSON object that answers a POST.

        Raises:
            LlamaError: The answer is not 200, or none came.
        """
        answer: dict[str, object] = json.loads(await self._whole_answer(self._post(path, body)))
        return answer

    async def stream(self, path: str, body: Mapping[str, object]) -> "EventStream":
        """Return the events that answer a POST, once llama.cpp begins to work on it. The caller closes them."""
        return EventStream(await self._connect(self._post(path, body)))

    async def _whole_answer(self, request: bytes) -> bytes:
        exchange = await self._connect(request)
        try:
            await exchange.finished()
            exchange.raise_for_status()
            return bytes(exchange.body)
        finally:
            exchange.close()

    def _post(self, path: str, body: Mapping[str, object]) -> bytes:
        content = json.dumps(body).encode()
        head = b"POST " + path.encode() + self._head + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        return head % len(content) + content

    async def _connect(self, request: bytes) -> "_Exchange":
        loop = asyncio.get_running_loop()
        try:
            _, exchange = await loop.create_connection(lambda: _Exchange(request, loop), self._host, self._port)
        except OSError as error:
            raise LlamaError(0, f"llama.cpp does not answer: {error}") from error
        return exchange


class EventStream:
    """Server-sent events of one answer. Closing it, early or not, ends the work in llama.cpp."""

    def __init__(self, exchange: "_Exchange") -> None:
        self._exchange = exchange

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def begun(self) -> None:
        """Wait until llama.cpp has a slot for the request.

        Raises:
            LlamaError: It refused the request, or the connection was lost.
        """
        exchange = self._exchange
        while exchange.status is None and not exchange.ended:
            await exchange.changed()
        if exchange.status != _OK:
            await exchange.finished()
        exchange.raise_for_status()

    async def events(self) -> list[CompletionEvent]:
        """Wait for events and return all that are there; an empty list is the end.

        Raises:
            LlamaError: llama.cpp reports an error, or the connection was lost.
        """
        exchange = self._exchange
        while _EVENT_END not in exchange.body:
            if exchange.ended:
                exchange.raise_for_status()
                return []
            await exchange.changed()
        end = exchange.body.rindex(_EVENT_END)
        whole = exchange.body[:end].decode()
        del exchange.body[: end + len(_EVENT_END)]
        return [_parse_event(event) for event in whole.split("\n\n")]

    def close(self) -> None:
        """Close the connection; whoever waits for events sees their end."""
        self._exchange.close()


# json.loads would guess the encoding and look for what follows the value, at half the cost again.
_decode = json.JSONDecoder().raw_decode


def _parse_event(event: str) -> CompletionEvent:
    value: CompletionEvent = _decode(event, event.index("{"))[0]
    if "error" in value:
        raise LlamaError(500, _message_of(value))
    return value


def _message_of(answer: object) -> str:
    error = answer.get("error") if isinstance(answer, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return str(message or error or answer)


class _Exchange(asyncio.Protocol):
    """One request and its answer on one connection."""

    def __init__(self, request: bytes, loop: asyncio.AbstractEventLoop) -> None:
        self._request = request
        self._loop = loop
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.WriteTransport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.body = bytearray()
        self.status: int | None = None
        self.ended = False
        self._complete = False

    async def changed(self) -> None:
        """Wait for the next bytes or the end."""
        self._waiter = self._loop.create_future()
        await self._waiter

    async def finished(self) -> None:
        """Wait for the end."""
        while not self.ended:
            await self.changed()

    def raise_for_status(self) -> None:
        """Raise LlamaError unless the answer is 200 and, where it ended, complete."""
        if self.status == _OK and (self._complete or not self.ended):
            return
        if self.status is None or self.status == _OK:
            raise LlamaError(0, "llama.cpp closed the connection before its answer was complete")
        try:
            message = _message_of(json.loads(self.body))
        except ValueError:
            message = self.body.decode("utf-8", "replace")
        raise LlamaError(self.status, message)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
        self._end()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's.
        self._transport = cast("asyncio.WriteTransport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._end()

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self._complete = True
        self._end()

    def _end(self) -> None:
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
