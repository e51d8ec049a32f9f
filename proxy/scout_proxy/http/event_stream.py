"""Answers that are streams of server-sent events.

The head goes out with the first events, so that whatever fails before is an answer with a status of its own; what fails
after is an event, and the end. A reader that is slow keeps whoever produces the events waiting; one that is gone
cancels it.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from scout_proxy.errors import NotLoadedError, ProxyError
from scout_proxy.http.connection import Connection, connection_of
from scout_proxy.http.request_body import while_connected
from scout_proxy.http.sse import COMMENT

KEEP_ALIVE_S = 15.0
# What an error's event may take on its way to a reader that takes nothing.
_LAST_WORD_S = 5.0
_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    # nginx keeps answers back without it.
    "x-accel-buffering": "no",
}


class EventSink:
    """Where the events of one answer go; several tasks may send to it.

    Args:
        connection: Written to at once where it takes what is sent, past all layers; None where the server has no such.
        keep_alive_s: After so much silence a comment is sent; none before the first event.
    """

    def __init__(
        self, send: Send, headers: Mapping[str, str], *, connection: Connection | None, keep_alive_s: float
    ) -> None:
        self._send = send
        self._connection = connection
        self._headers = headers
        self._keep_alive_s = keep_alive_s
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._comment: asyncio.Task[None] | None = None
        self._heard_s = 0.0
        self._sending = 0
        self.has_begun = False

    async def send(self, events: bytes) -> None:
        """Send events, the head before the first ones; returns when the reader has room for more."""
        if self.has_begun and self._connection is not None and self._connection.write_chunk(events):
            self._heard_s = self._loop.time()
            return
        self._sending += 1
        try:
            if not self.has_begun:
                await self._begin()
            await self._send({"type": "http.response.body", "body": events, "more_body": True})
        finally:
            self._sending -= 1
            self._heard_s = self._loop.time()

    async def end(self) -> None:
        """Send the end of the stream."""
        self.close()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def close(self) -> None:
        """Send no more comments."""
        for pending in (self._timer, self._comment):
            if pending is not None:
                pending.cancel()

    async def _begin(self) -> None:
        self.has_begun = True
        self._timer = self._loop.call_later(self._keep_alive_s, self._break_silence)
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self._headers.items()]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    def _break_silence(self) -> None:
        """Send a comment if nothing was sent for long; what waits for a slow reader is no silence."""
        silent_s = 0.0 if self._sending else self._loop.time() - self._heard_s
        if silent_s >= self._keep_alive_s:
            self._comment, silent_s = self._loop.create_task(self.send(COMMENT)), 0.0
        self._timer = self._loop.call_later(self._keep_alive_s - silent_s, self._break_silence)


class EventAnswer(Response):
    """A stream as an answer.

    Args:
        produce: Sends the events, all of them; what it raises before the first one is the answer instead.
        write_error: Gives the event that tells an error to a client that has been sent some already.
        headers: Of the answer, besides those of every stream.
    """

    def __init__(
        self,
        produce: Callable[[EventSink], Coroutine[Any, Any, None]],
        *,
        write_error: Callable[[ProxyError], bytes],
        headers: Mapping[str, str] | None = None,
        keep_alive_s: float = KEEP_ALIVE_S,
    ) -> None:
        super().__init__()
        self._produce = produce
        self._write_error = write_error
        self._stream_headers = {**_HEADERS, **(headers or {})}
        self._keep_alive_s = keep_alive_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request whose body has been read."""
        connection = connection_of(scope)
        sink = EventSink(send, self._stream_headers, connection=connection, keep_alive_s=self._keep_alive_s)
        try:
            await self._answer(sink, receive, connection)
        finally:
            sink.close()

    async def _answer(self, sink: EventSink, receive: Receive, connection: Connection | None) -> None:
        try:
            await while_connected(receive, self._produce(sink), connection)
        except (ProxyError, asyncio.CancelledError) as exc:
            # The server alone cancels requests, where they outlast its time to drain.
            error = exc if isinstance(exc, ProxyError) else NotLoadedError(log_reason="the proxy stops")
            if not sink.has_begun:
                raise error from exc
            # A client that only sends nothing more reads this; one that has gone is sent nothing.
            await self._say_last(sink, error)
        else:
            await sink.end()

    async def _say_last(self, sink: EventSink, error: ProxyError) -> None:
        """Tell the error and end; a reader that takes nothing is left with an answer that does not end."""
        try:
            async with asyncio.timeout(_LAST_WORD_S):
                await sink.send(self._write_error(error))
                await sink.end()
        except TimeoutError:
            return
