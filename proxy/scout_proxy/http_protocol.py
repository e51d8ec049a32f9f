"""uvicorn's HTTP protocol with the bounds it lacks: on a request's head, and on what is thrown away of its body."""

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from http import HTTPStatus
from typing import Any

from pydantic_core import to_json
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from scout_proxy.request_id import HEADER, request_id_for
from scout_proxy.route_table import Limits

_MAX_HEAD_BYTES = 64 * 1024
# Of a body that was refused, so much is read and thrown away: a client that sends before it reads gets its answer.
_MAX_DISCARDED_BYTES = 64 * 1024 * 1024

_LINGER_S = 1.0


class _Place(Enum):
    """Where in a request the connection's last byte was."""

    BETWEEN = auto()
    HEAD = auto()
    BODY = auto()
    REFUSED = auto()


class BoundedProtocol(HttpToolsProtocol):
    """One connection. A head that does not end in time or in size is refused, an idle connection closed.

    Args:
        limits: Gives the limits of the moment; they can change between two requests.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: Callable[[], Limits],
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._timer: asyncio.TimerHandle | None = None
        self._place = _Place.BETWEEN
        self._head_bytes = 0
        self._discarded_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes while a head is not complete; ignore what comes after a refusal."""
        if self._place is _Place.REFUSED:
            return
        was_in_head = self._place is _Place.HEAD
        super().data_received(data)
        if self._place is not _Place.HEAD or self.transport.is_closing():
            return
        if self._timer is None:
            self._await_head()
        self._head_bytes += len(data) if was_in_head else 0
        if self._head_bytes > _MAX_HEAD_BYTES:
            self._refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"The request's head is larger than {_MAX_HEAD_BYTES} bytes"
            )

    def on_message_begin(self) -> None:
        """Enter a head."""
        self._place = _Place.HEAD
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop waiting: the body has its own limits."""
        self._place = _Place.BODY
        self._discarded_bytes = 0
        self._stop_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Throw away what comes of a body after its answer, up to a bound."""
        if self.cycle.response_complete:
            self._discarded_bytes += len(body)
            if self._discarded_bytes > _MAX_DISCARDED_BYTES:
                self.transport.close()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Be ready for the next head."""
        self._place = _Place.BETWEEN
        self._stop_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Give the rest of a body that was answered early its time to come."""
        if self._place is _Place.BODY:
            self._start_timer(self._limits().body_timeout_s, self.transport.close)
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP in the shape of every other error."""
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def _await_head(self) -> None:
        self._start_timer(self._limits().header_timeout_s, self._give_up_head)

    def _give_up_head(self) -> None:
        if self._is_answering():
            self._await_head()
        elif self._place is _Place.HEAD:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "The request's head did not arrive in time")
        else:
            self.transport.close()

    def _is_answering(self) -> bool:
        """Whether the request before this head, on the same connection, is not answered yet."""
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request, whatever uvicorn declares
        return cycle is not None and not cycle.response_complete

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        if self._is_answering():
            self.transport.close()
            return
        body = to_json({"detail": detail})
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n{HEADER.lower()}: {request_id_for(None)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        # RFC 9112 §9.6: closing while the client still sends would reset the connection and take the answer with it.
        self.transport.write_eof()
        self._place = _Place.REFUSED
        self._start_timer(_LINGER_S, self.transport.close)

    def _start_timer(self, seconds: float, action: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, action)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
