"""One HTTP answer as it comes: its head, its body in pieces or whole, its end. No sockets here.

A client of its own and no library's, because this is where the proxy spends its time: a library's request costs more
than all that the proxy does besides, in time for each answer and for each token of a stream.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from typing import Protocol

import httptools

_MAX_HEAD_BYTES = 64 * 1024
# A consumer that lags behind by this much stops its connection from reading, by which the engine waits.
_MOST_WAITING_BYTES = 256 * 1024
_UNBOUNDED = 2**62
_CONTINUE_BELOW = 200
_MAX_SHOWN_BYTES = 60
# For what an engine still sends after the last event.
_MAX_END_S = 1.0


class AnswerError(Exception):
    """The answer did not come, or not as HTTP."""


class NoAnswerError(AnswerError):
    """The connection ended before an answer began."""


class CutOffError(AnswerError):
    """The connection ended in the middle of the answer."""


class NotHttpError(AnswerError):
    """What came is not HTTP."""


class Flow(Protocol):
    """What brings the bytes."""

    def pause(self) -> None:
        """Bring nothing more for now."""
        ...

    def resume(self) -> None:
        """Go on."""
        ...


class After(Enum):
    """What whoever follows an answer wants of what comes after a piece."""

    MORE = auto()
    LAST = auto()
    ENOUGH = auto()


class ClientAnswer:
    """Takes what a connection receives until its answer is complete.

    Args:
        in_pieces: Whether its reader wants the body as it comes. Else it is woken once, at the end.
        flow: Of what is received.

    Attributes:
        status: 0 until the head is there.
        headers: By their names in lower case.
        is_reusable: Whether the connection can carry another request after this one.
    """

    def __init__(self, *, in_pieces: bool, flow: Flow) -> None:
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._in_pieces = in_pieces
        self._most_bytes = _MOST_WAITING_BYTES if in_pieces else _UNBOUNDED
        self._flow = flow
        # Since the last of the body: of the head before it, of chunks' sizes within it, of trailers after it.
        self._bytes_around = 0
        self._beginning = b""
        self._pieces: list[bytes] = []
        self._failure: AnswerError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._take_piece: Callable[[bytes], After] | None = None
        self._after = After.MORE
        self._broken: Exception | None = None
        self._has_length = False
        self.waiting_bytes = 0
        self.status = 0
        self.headers: dict[str, str] = {}
        self.is_complete = False
        self.is_reusable = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes."""
        return self.is_complete or self._failure is not None

    def close(self) -> None:
        """Take nothing more. It and its parser hold each other, which the collector would have to find."""
        self._parser = None

    def feed(self, data: bytes) -> None:
        """Take bytes."""
        if self._parser is None:
            return
        if not self.status:
            self._beginning = self._beginning or data[:_MAX_SHOWN_BYTES]
        self._bytes_around += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            beginning = self._beginning.decode(errors="replace").split("\r\n")[0]
            self.fail(NotHttpError(f"it begins with {beginning!r} ({exc})" if not self.status else str(exc)))
        else:
            if self._bytes_around > _MAX_HEAD_BYTES:
                what = "trailers are" if self.status else "head is"
                self.fail(NotHttpError(f"its {what} larger than {_MAX_HEAD_BYTES} bytes"))
        if self._in_pieces and self._take_piece is None:
            self._wake()

    def end(self, reason: str) -> None:
        """Take the end of the connection, which ends a body of unknown length (RFC 9112 §6.3)."""
        if not self.status:
            self.fail(NoAnswerError(reason))
        elif self._has_length:
            self.fail(CutOffError(reason))
        elif not self.is_over:
            self.is_complete = True
            self._wake()

    def fail(self, failure: AnswerError) -> None:
        """End it badly."""
        if not self.is_over:
            self._failure = failure
            self._wake()

    async def head(self) -> int:
        """Wait for the head, and return the status.

        Raises:
            AnswerError: It did not come.
        """
        while not self.status:
            self._check()
            await self._wait()
        return self.status

    async def body(self, most_bytes: int) -> bytes | None:
        """Wait for the whole body; None where it is larger than this.

        Raises:
            AnswerError: It did not come whole.
        """
        self._most_bytes = most_bytes
        while not self.is_complete:
            self._check()
            if self.waiting_bytes > most_bytes:
                return None
            self._flow.resume()
            await self._wait()
        return None if self.waiting_bytes > most_bytes else self._take()

    async def follow(self, take: Callable[[bytes], After]) -> None:
        """Give every piece to `take` within the turn that brings it, so that no task has to be woken for it.

        Raises:
            AnswerError: The body did not come to its end, and more of it was wanted.
            Exception: What `take` raises.
        """
        self._take_piece = take
        if self._pieces:
            self._give(self._take())
        # What came before can have been so much that nothing more is read.
        self._flow.resume()
        while not (self.is_complete or self._after is After.ENOUGH):
            if self._broken is not None:
                raise self._broken
            if self._after is After.LAST:
                await self._end_soon()
                return
            self._check()
            await self._wait()
        if self._broken is not None:
            raise self._broken

    async def _end_soon(self) -> None:
        """Let the answer come to its end, by which its connection can be used again; one that goes on is closed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_MAX_END_S):
                while not self.is_over:
                    await self._wait()

    async def piece(self) -> bytes:
        """Wait for what came since the last piece; nothing at the body's end.

        Raises:
            AnswerError: The body did not come to its end.
        """
        while not self._pieces:
            if self.is_complete:
                return b""
            self._check()
            self._flow.resume()
            await self._wait()
        return self._take()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Take no second answer: nobody asked for it, and it is not what is asked next that it answers."""
        if self.is_complete:
            self.is_reusable = False
            raise NotHttpError("it goes on after its end")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what comes behind the body is not the head's (RFC 9110 §6.5.1)."""
        if self.status:
            return
        lower = name.decode("latin-1").lower()
        self.headers[lower] = value.decode("latin-1")
        self._has_length = self._has_length or lower in {"content-length", "transfer-encoding"}

    def on_headers_complete(self) -> None:
        """Take the head, unless it only announces another one (RFC 9110 §15.2)."""
        status = self._parser.get_status_code() if self._parser else 0
        if status >= _CONTINUE_BELOW:
            self.status = status
        else:
            self.headers.clear()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._bytes_around = 0
        if self._take_piece is not None:
            self._give(body)
            return
        self._pieces.append(body)
        self.waiting_bytes += len(body)
        if self.waiting_bytes <= self._most_bytes:
            return
        if self._in_pieces:
            self._flow.pause()
        self._wake()

    def on_message_complete(self) -> None:
        """Take the end."""
        if self.status and not self.is_over:
            self.is_reusable = self._parser is not None and self._parser.should_keep_alive()
            self.is_complete = True
            self._wake()

    def _give(self, body: bytes) -> None:
        if self._take_piece is None or self._after is not After.MORE or self._broken is not None:
            return
        try:
            self._after = self._take_piece(body)
        except Exception as exc:  # noqa: BLE001  # it belongs to whoever follows, and not to the parser
            self._broken = exc
        if self._after is not After.MORE or self._broken is not None:
            self._wake()

    def _take(self) -> bytes:
        pieces, self._pieces, self.waiting_bytes = self._pieces, [], 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
