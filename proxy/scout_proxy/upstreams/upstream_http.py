"""HTTP to an upstream: bounded answers and streams of events on one pooled session.

Raises text_generation's errors, or subclasses of them (`upstream_errors`).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from text_generation.errors import OverloadedError, ShardTimeoutError, UnknownError

from scout_proxy.http.sse import EventReader, EventTooLargeError
from scout_proxy.upstreams.client_answer import After, ClientAnswer, CutOffError, NoAnswerError, NotHttpError
from scout_proxy.upstreams.client_session import ConnectError, Exchange, NoFileLeftError, Origin, Session
from scout_proxy.upstreams.upstream_errors import (
    MAX_ERROR_CHARS,
    TruncatedAnswerError,
    UnreachableError,
    error_of_answer,
)

_MAX_ANSWER_BYTES = 32 * 1024 * 1024
_EVENT_STREAM = "text/event-stream"
_CLIENT_ERRORS = (ConnectError, NoAnswerError, CutOffError, NotHttpError, TimeoutError)


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """A 200: its body, its headers by their names in lower case."""

    payload: bytes
    headers: Mapping[str, str]


class UpstreamHttp:
    """One upstream's address. Cancelling a call, or closing a stream, closes its connection at once.

    Args:
        timeout_s: For a whole call; None waits as long as its caller does.
    """

    def __init__(self, base_url: str, session: Session, *, timeout_s: float | None = None) -> None:
        self._base_url = base_url
        self._session = session
        self._timeout_s = timeout_s
        try:
            self._origin: Origin | None = Origin.parse(base_url)
        except ValueError:
            self._origin = None
        self._prefix = self._origin.path.encode() if self._origin else b""
        authority = self._origin.authority if self._origin else ""
        self._always = f" HTTP/1.1\r\nhost: {authority}\r\naccept-encoding: identity".encode()

    async def get(self, path: str) -> RawAnswer:
        """GET, and read the whole answer."""
        return await self._whole(self._head("GET", path, None) + b"\r\n", path)

    async def post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> RawAnswer:
        """POST JSON, and read the whole answer."""
        return await self._whole(self._post(path, body, headers), path)

    @asynccontextmanager
    async def post_for_chunks(self, path: str, body: bytes) -> AsyncIterator[AsyncIterator[bytes]]:
        """POST JSON, and read the answer as it comes; nothing bounds it."""
        async with self._pieces(self._post(path, body, None), path) as answer:
            yield _iterate(answer)

    async def post_for_events(
        self, path: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[list[bytes], None]:
        """POST JSON, and yield the payloads of the answer's events; those that came together together, never none.

        It ends where the connection does; whether all was said is for the caller to know.
        """
        async with self._pieces(self._post(path, body, headers), path) as answer:
            with _events(answer) as reader:
                while chunk := await answer.piece():
                    if payloads := reader.feed(chunk):
                        yield payloads

    async def follow_events(
        self,
        path: str,
        body: bytes,
        take: Callable[[list[bytes]], After],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Do the same, giving the payloads to `take` within the turn that brings them."""
        async with self._pieces(self._post(path, body, headers), path) as answer:
            with _events(answer) as reader:

                def read(chunk: bytes) -> After:
                    payloads = reader.feed(chunk)
                    return take(payloads) if payloads else After.MORE

                await answer.follow(read)

    async def _whole(self, request: bytes, path: str) -> RawAnswer:
        try:
            if self._timeout_s is None:
                exchange, payload = await self._exchange(request)
            else:
                async with asyncio.timeout(self._timeout_s):
                    exchange, payload = await self._exchange(request)
        except _CLIENT_ERRORS as exc:
            raise self._translate(exc, path) from exc
        if payload is None:
            raise UnknownError(f"the engine's answer is larger than {_MAX_ANSWER_BYTES} bytes")
        if exchange.answer.status != HTTPStatus.OK:
            raise error_of_answer(exchange.answer.status, payload)
        return RawAnswer(payload, exchange.answer.headers)

    async def _exchange(self, request: bytes) -> tuple[Exchange, bytes | None]:
        exchange = await self._send(request)
        try:
            return exchange, await exchange.answer.body(_MAX_ANSWER_BYTES)
        finally:
            exchange.close()

    @asynccontextmanager
    async def _pieces(self, request: bytes, path: str) -> AsyncIterator[ClientAnswer]:
        with self._translated(path):
            async with asyncio.timeout(self._timeout_s):
                exchange = await self._send(request, in_pieces=True)
                try:
                    if await exchange.answer.head() != HTTPStatus.OK:
                        payload = await exchange.answer.body(_MAX_ANSWER_BYTES)
                        raise error_of_answer(exchange.answer.status, payload or b"")
                    yield exchange.answer
                finally:
                    exchange.close()

    async def _send(self, request: bytes, *, in_pieces: bool = False) -> Exchange:
        if self._origin is None:
            raise UnreachableError(f"{self._base_url} is not an http address")
        return await self._session.send(self._origin, request, in_pieces=in_pieces)

    def _post(self, path: str, body: bytes, headers: Mapping[str, str] | None) -> bytes:
        head = self._head("POST", path, headers)
        return b"%bcontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (head, len(body), body)

    def _head(self, method: str, path: str, headers: Mapping[str, str] | None) -> bytes:
        begin = b"%b %b%b\r\n" % (method.encode(), self._prefix, path.encode() + self._always)
        if not headers:
            return begin
        return begin + "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode("latin-1")

    @contextmanager
    def _translated(self, path: str) -> Iterator[None]:
        try:
            yield
        except _CLIENT_ERRORS as exc:
            raise self._translate(exc, path) from exc

    def _translate(self, exc: Exception, path: str) -> Exception:
        failure: Exception
        match exc:
            case NoFileLeftError():
                # Like an engine that is at its limit, which has the request wait for a place again.
                failure = OverloadedError(str(exc))
            case ConnectError() | NoAnswerError():
                failure = UnreachableError(f"{self._base_url} cannot be reached: {exc}")
            case CutOffError():
                failure = TruncatedAnswerError("the engine's answer ended too early")
            case TimeoutError():
                failure = ShardTimeoutError(f"{self._base_url}{path} did not answer in time")
            case _:
                failure = UnknownError(f"the engine's answer is not HTTP: {str(exc)[:MAX_ERROR_CHARS]}")
        return failure


@contextmanager
def _events(answer: ClientAnswer) -> Iterator[EventReader]:
    """Give a reader of the answer's events."""
    if not answer.headers.get("content-type", "").lower().startswith(_EVENT_STREAM):
        raise UnknownError("the engine's answer is not a stream of events")
    try:
        yield EventReader(_MAX_ANSWER_BYTES)
    except EventTooLargeError as exc:
        raise UnknownError(f"the engine's answer is too large: {exc}") from exc


async def _iterate(answer: ClientAnswer) -> AsyncIterator[bytes]:
    while piece := await answer.piece():
        yield piece
