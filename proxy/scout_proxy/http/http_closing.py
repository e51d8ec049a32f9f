"""How a connection ends: with its answers sent, and read by clients that still send or that read slowly.

RFC 9112 §9.6: a connection that is closed while its client still sends is reset, which takes the answer with it. So
after the answer to a request that was not read whole, only our direction is closed, and what comes is thrown away.
"""

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from scout_proxy.http.answer_transport import AnswerTransport
from scout_proxy.route_table import Limits

# Of a body that was refused, so much is read and thrown away: a client that sends before it reads gets its answer.
_MAX_DISCARDED_BYTES = 64 * 1024 * 1024


class Place(Enum):
    """Where in a request the connection's last byte was."""

    BETWEEN = auto()
    HEAD = auto()
    BODY = auto()
    IGNORED = auto()
    LINGERING = auto()


class Flow(FlowControl):
    """uvicorn's, whose reading stays paused while it is `held`, whoever else would resume it."""

    is_held = False

    def resume_reading(self) -> None:
        """Read on, unless it is held."""
        if not self.is_held:
            super().resume_reading()


class ClosingProtocol(HttpToolsProtocol):
    """One connection, as far as its end is concerned.

    Args:
        limits: Gives the limits of the moment.
        linger_s: Seconds that a client has to read an early answer and to stop sending.
    """

    flow: Flow

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: Callable[[], Limits],
        linger_s: float,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._linger_s = linger_s
        self._timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None
        self._gone: asyncio.Future[None] | None = None
        self._place = Place.BETWEEN
        self._discarded_bytes = 0
        self._has_ended = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Take the connection."""
        super().connection_made(transport)
        self.flow = Flow(transport)
        self._answers = AnswerTransport(transport, self._close_answered)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits for the end."""
        self._stop_timer()
        self._stop_reader_timer()
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Begin to watch a client that does not take its answer as fast as it comes."""
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        """Go on; it does. One that is being closed is watched to its end."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._stop_reader_timer()

    def finish(self, linger_s: float) -> asyncio.Future[None]:
        """Close as soon as what was answered is sent, or read where the client is given time for that; done then."""
        self._gone = self.loop.create_future()
        if self._place is Place.LINGERING:
            self._start_timer(linger_s, self._close)
        else:
            self._close()
        return self._gone

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that is not used again."""
        self._close()

    def _close_answered(self) -> None:
        """Close after the last answer; a client that has ended its own direction sends nothing more to wait for."""
        if self._has_ended or (self._place is Place.BETWEEN and not self.pipeline):
            self._close()
        elif not self.transport.is_closing():
            self._linger()

    def _linger(self) -> None:
        self._place = Place.LINGERING
        self._discarded_bytes = 0
        if self._has_ended:
            self._close()
            return
        self.transport.write_eof()
        self.flow.is_held = False
        self.flow.resume_reading()
        self._start_timer(self._linger_s, self._close)

    def _discard(self, count: int) -> None:
        self._discarded_bytes += count
        if self._discarded_bytes > _MAX_DISCARDED_BYTES:
            self._close()

    def _close(self) -> None:
        """Close when all is sent; a client that no longer takes anything of its answer is not waited for."""
        self.transport.close()
        self._stop_timer()
        self._watch_reader()

    def _watch_reader(self) -> None:
        self._stop_reader_timer()
        unsent_bytes = self.transport.get_write_buffer_size()
        seconds = self._limits().body_timeout_s
        self._reader_timer = self.loop.call_later(seconds, partial(self._abort_if_stuck, unsent_bytes))

    def _abort_if_stuck(self, unsent_bytes: int) -> None:
        if self.transport.get_write_buffer_size() < unsent_bytes:
            self._watch_reader()
        else:
            self.transport.abort()

    def _stop_reader_timer(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None

    def _start_timer(self, seconds: float, action: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, action)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
