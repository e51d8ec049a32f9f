"""What every route needs of HTTP: a bounded JSON body, streams, and a look-out for the client leaving."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from scout_engine.errors import BodyError
from scout_engine.fields import parse_json
from scout_engine.wire import KEEP_ALIVE, to_json

Answer = TypeVar("Answer")

# axum's KeepAlive::default().
_KEEP_ALIVE_S = 15.0
# A refused body is read on to here, so that the client can finish sending and then read the answer.
_DISCARDED_BYTES = 64 << 20
_DISCARDED_S = 10.0


class ClientGoneError(Exception):
    """The client left before its answer was there."""


def json_response(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return Response(to_json(value), status, headers, "application/json")


async def read_json(request: Request, limit_bytes: int) -> object:
    """Return the JSON value in the body of `request`.

    Raises:
        BodyError: 415 without a JSON content type, 413 over `limit_bytes`, 400 if it is no JSON.
        ClientGoneError: The client left while it sent.
    """
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise BodyError(415, "Expected request with `Content-Type: application/json`")
    declared = request.headers.get("content-length", "")
    body = bytearray()
    too_large = declared.isdecimal() and int(declared) > limit_bytes
    if not too_large:
        too_large = not await _read_into(body, request.receive, limit_bytes)
    if too_large:
        await _discard(request.receive)
        raise BodyError(413, "Failed to buffer the request body: length limit exceeded")
    return parse_json(bytes(body))


async def _read_into(body: bytearray, receive: Receive, limit_bytes: int) -> bool:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        body += message.get("body", b"")
        if len(body) > limit_bytes:
            return False
        if not message.get("more_body", False):
            return True


async def _discard(receive: Receive) -> None:
    remaining = _DISCARDED_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DISCARDED_S):
            while remaining > 0:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
                remaining -= len(message.get("body", b""))


async def until_client_leaves(receive: Receive, work: Coroutine[object, object, Answer]) -> Answer:
    """Return what `work` returns, unless the client leaves first: then `work` is cancelled.

    Raises:
        ClientGoneError: The client left.
    """
    task = asyncio.create_task(work)
    gone = asyncio.create_task(_disconnected(receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientGoneError
    finally:
        for one in (task, gone):
            one.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventResponse:
    """A stream of server-sent events as an ASGI answer: what is ready together is written together."""

    def __init__(self, events: Callable[[], AsyncGenerator[bytes]], headers: Mapping[str, str]) -> None:
        self._events = events
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._headers.append((b"content-type", b"text/event-stream"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream, a comment where it is silent for long; end it when the client leaves."""
        del scope
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        with contextlib.suppress(ClientGoneError):
            await until_client_leaves(receive, self._send_events(send))

    async def _send_events(self, send: Send) -> None:
        silence = _Silence(lambda: send({"type": "http.response.body", "body": KEEP_ALIVE, "more_body": True}))
        try:
            # Closing the events at once, not when they are collected, is what frees the slot of a client that left.
            async with contextlib.aclosing(self._events()) as events:
                async for chunk in events:
                    silence.broken()
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        finally:
            silence.stop()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Silence:
    """Call `speak` whenever nothing was sent for a while."""

    def __init__(self, speak: Callable[[], Awaitable[None]]) -> None:
        self._speak = speak
        self._was_broken = False
        self._task = asyncio.create_task(self._watch())

    def broken(self) -> None:
        self._was_broken = True

    def stop(self) -> None:
        self._task.cancel()

    async def _watch(self) -> None:
        while True:
            self._was_broken = False
            await asyncio.sleep(_KEEP_ALIVE_S)
            if not self._was_broken:
                await self._speak()
