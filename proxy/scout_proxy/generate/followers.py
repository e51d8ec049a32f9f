"""Those who wait for a generation on behalf of a client: for the whole of it, or for each piece."""

import asyncio
from collections.abc import Callable
from time import monotonic

from pydantic_core import to_json

from scout_proxy.cache.flight import Flight, Piece, Texts
from scout_proxy.errors import ClientGoneError, DeadlineError, ProxyError

# One write of a reader that lags behind; it bounds what is encoded at once.
_MAX_WRITE_BYTES = 65_536
KEEP_ALIVE = b": keep-alive\n\n"


class _Client:
    """Follows a flight until its end, its deadline, or until the client goes away."""

    def __init__(self, flight: Flight, *, deadline_s: float, left_s: float) -> None:
        self.flight = flight
        self._deadline_s = deadline_s
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None
        self._timer = self._loop.call_later(max(0.0, left_s), self._expire)
        if not flight.is_over:
            flight.follow(self)

    def close(self) -> None:
        """Leave; the last one of a flight ends it."""
        self._timer.cancel()
        self.flight.leave(self)

    def go(self) -> None:
        """Take note that the client has gone."""
        self._fail(ClientGoneError())

    def on_pieces(self) -> None:
        """Pieces do not matter to whoever waits for the whole."""

    def on_end(self, _: Flight) -> None:
        """Wake up."""
        self._wake()

    def _check(self) -> None:
        failure = self._failure or self.flight.failure
        if failure is not None:
            raise failure.with_traceback(None)

    def _expire(self) -> None:
        self._fail(DeadlineError(self._deadline_s))

    def _fail(self, failure: ProxyError) -> None:
        self._failure = self._failure or failure
        self._wake()

    def _wake(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def _sleep(self) -> None:
        self._future = self._loop.create_future()
        try:
            await self._future
        finally:
            self._future = None


class WholeFollower(_Client):
    """Waits for all texts."""

    async def texts(self) -> Texts:
        """Return them.

        Raises:
            ProxyError: The generation failed, the deadline passed, or the client has gone.
        """
        while self.flight.texts is None:
            self._check()
            await self._sleep()
        self._check()
        return self.flight.texts


class PieceFollower(_Client):
    """Gives on every piece as an event, at once where the client takes it at once.

    A client that reads slowly costs nothing but its place: what it has not taken yet is encoded when it is.

    Args:
        write_now: Writes without waiting, or says that it cannot.
        keep_alive_s: Silence after which a comment is due.
    """

    def __init__(
        self,
        flight: Flight,
        *,
        deadline_s: float,
        left_s: float,
        write_now: Callable[[bytes], bool],
        keep_alive_s: float,
    ) -> None:
        super().__init__(flight, deadline_s=deadline_s, left_s=left_s)
        self._write_now = write_now
        self._keep_alive_s = keep_alive_s
        self._written_s = monotonic()
        self._position = 0
        self._is_begun = False
        self._is_replayed = False

    def on_pieces(self) -> None:
        """Write what is new at once, unless something from before is still to be written."""
        if self._is_begun and self._future is not None and not self._future.done():
            before = self._position
            # Told late of what it has taken already. An empty chunk would be the answer's end.
            if not (events := self._unwritten()):
                return
            if self._write_now(events):
                self._written_s = monotonic()
                if self._position == len(self.flight.pieces):
                    return
            else:
                self._position = before
        self._wake()

    async def begin(self) -> None:
        """Wait until it is certain that the answer begins well.

        Raises:
            ProxyError: It does not.
        """
        while not self.flight.pieces and not self.flight.is_over:
            self._check()
            await self._sleep()
        if not self.flight.pieces:
            self._check()
        self._is_begun = True

    async def next_events(self) -> bytes:
        """Return events that have to be written now; nothing at the end.

        Raises:
            ProxyError: The generation failed after it began.
        """
        while True:
            if events := self._unwritten():
                self._written_s = monotonic()
                return events
            self._check()
            if self.flight.is_over:
                return self._untold()
            if await self._is_silent():
                self._written_s = monotonic()
                return KEEP_ALIVE

    async def _is_silent(self) -> bool:
        due_s = self._written_s + self._keep_alive_s - monotonic()
        if due_s <= 0:
            return True
        timer = self._loop.call_later(due_s, self._wake)
        try:
            await self._sleep()
        finally:
            timer.cancel()
        return False

    def _untold(self) -> bytes:
        """Return the texts of a generation that told no pieces, because it began for a client that wants the whole."""
        if self.flight.pieces or self._is_replayed:
            return b""
        self._is_replayed = True
        return replay_events(self.flight.texts or ())

    def _unwritten(self) -> bytes:
        events, size = [], 0
        while self._position < len(self.flight.pieces) and size < _MAX_WRITE_BYTES:
            event = _event_of(self.flight.pieces[self._position])
            self._position += 1
            size += len(event)
            events.append(event)
        return b"".join(events)


def _event_of(piece: Piece) -> bytes:
    """Return the piece's event, which is made once for all who follow."""
    if piece.event is None:
        piece.event = _event(piece.sequence, piece.text)
    return piece.event


def _event(sequence: int, text: str) -> bytes:
    return b'data: {"sequence":%d,"text":%b}\n\n' % (sequence, to_json(text))


def replay_events(texts: Texts) -> bytes:
    """Return the events of texts that are there already, one for each."""
    return b"".join(_event(sequence, text) for sequence, text in enumerate(texts) if text)
