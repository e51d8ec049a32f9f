"""uvicorn's HTTP protocol with what it lacks: bounds on what clients send, and answers from the bytes of a request."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, Protocol, cast
from uuid import uuid4

import httptools
from pydantic_core import to_json
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from scout_proxy.http.connection import EXTENSION
from scout_proxy.http.crowd import Crowd
from scout_proxy.http.http_closing import ClosingProtocol, Place
from scout_proxy.http.old_answers import without_chunks
from scout_proxy.http.repeated_head import RepeatedHead, repeated_head
from scout_proxy.http.request_connection import RequestConnection
from scout_proxy.http.request_id import HEADER
from scout_proxy.route_table import Limits

_MAX_HEAD_BYTES = 64 * 1024
# What comes at once is parsed in pieces of this size: one that is too much is not parsed whole, and a piece has only so
# many requests in it, each of which is a hundred times as large in memory.
_PIECE_BYTES = 2 * 1024
# Of requests that come before the answer to another, so much is kept and still read, which shows a client that leaves.
_MAX_HELD_BYTES = 64 * 1024

QUICK_PATH = b"/generate"
_OK = b"HTTP/1.1 200 OK\r\n"
_KEEP = b"\r\n"
_CLOSE = b"connection: close\r\n\r\n"


class Quick(Protocol):
    """Answers without a request for the application; asked only for `POST` of `QUICK_PATH`."""

    def read(self, headers: Iterable[tuple[bytes, bytes]]) -> Any | None:
        """Return what the headers ask for, which is the same each time, or None where the application has to answer."""
        ...

    def find(self, asked: Any, body: bytes) -> tuple[bytes, bytes] | None:
        """Return header lines and body of a 200, or None where the application has to answer."""
        ...


class BoundedProtocol(ClosingProtocol):
    """One connection. A head that does not end in time or in size is refused, an idle connection closed.

    Args:
        limits: Gives the limits of the moment; they can change between two requests.
        quick: Answers what can be answered from the bytes of a request that came all at once.
        crowd: How many may be connected; None is without limit.
        linger_s: Seconds that a client has to read an early answer and to stop sending.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: Callable[[], Limits],
        quick: Quick | None = None,
        crowd: Crowd | None = None,
        linger_s: float = 5.0,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop, limits=limits, linger_s=linger_s)
        self._quick = quick
        self._crowd = crowd
        self._quick_body: list[bytes] | None = None
        self._piece = b""
        self._repeated: RepeatedHead[Any] | None = None
        self._open: deque[RequestConnection] = deque()
        self._head_began_s = 0.0
        self._answered_s = 0.0
        self._bytes_around = 0
        self._held = bytearray()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Begin to wait for a head."""
        super().connection_made(transport)
        if self._crowd is not None and len(self.connections) > self._crowd.most_served:
            self.refuse_new(self._crowd.refusal)
            if len(self.connections) > self._crowd.most_open:
                transport.abort()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell every request that is not answered; uvicorn tells the last one alone."""
        for request in self._open:
            request.lose()
        self._open.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse one request after the other; throw away what comes where nothing that follows can be answered."""
        if self._repeated is not None and self._answer_repeated(self._repeated, data):
            return
        while len(data) > _PIECE_BYTES and self._may_parse():
            self._parse(data[:_PIECE_BYTES])
            data = data[_PIECE_BYTES:]
        if self._may_parse():
            self._parse(data)
        elif self._place is Place.IGNORED or self._place is Place.LINGERING:
            self._discard(len(data))
        else:
            self._hold(data)
        self._begin_unfinished()
        if self._timer is None and self._place is not Place.IGNORED:
            self._await_next()

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio's own
        """Answer what can be answered at once: a client that sends nothing more may have gone, which looks the same."""
        self._has_ended = True
        for request in self._open:
            request.half_close()
        self._finish_ended()
        return not self.transport.is_closing()

    def on_message_begin(self) -> None:
        """Enter a head."""
        self._place = Place.HEAD
        self._bytes_around = 0
        self._head_began_s = self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin a request; one that may have a quick answer begins when its body is there."""
        if self._is_upgrade():
            return
        self._bytes_around = 0
        if self._may_be_quick():
            self._place = Place.BODY
            self._quick_body = []
        else:
            self._begin_request()
        # Trailers are no part of the head (RFC 9110 §6.5.1), whose list the scope has.
        self.headers = []

    def on_body(self, body: bytes) -> None:
        """Throw away what comes of a body after its answer."""
        self._bytes_around = 0
        if self._quick_body is not None:
            self._quick_body.append(body)
            return
        if self.cycle.response_complete:
            self._discard(len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Be ready for the next head."""
        if self._is_upgrade():
            return
        if self._quick_body is not None:
            body, self._quick_body = b"".join(self._quick_body), None
            if self._answer_parsed(body):
                return
            self._begin_request(body)
        self._place = Place.BETWEEN
        self._bytes_around = 0
        self._stop_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Give the rest of a body that was answered early its time to come."""
        if self._open:
            self._open.popleft().end()
        if self._place is Place.LINGERING:
            return
        if self._place is Place.BODY:
            self._start_timer(self._limits().body_timeout_s, self._close)
        super().on_response_complete()
        if self._held and not self._must_wait():
            held = bytes(self._held)
            self._held.clear()
            self.flow.is_held = False
            self.flow.resume_reading()
            self.data_received(held)
            if self._has_ended:
                self._finish_ended()

    def refuse_new(self, app: ASGI3Application) -> None:
        """Have every request answered by `app` whose turn has not come; close after the last of those that are here."""
        self.app, self._quick = app, None
        self.pipeline = deque((cycle, app) for cycle, _ in self.pipeline)
        if self._is_answering():
            self.cycle.keep_alive = False

    def _may_be_quick(self) -> bool:
        """Whether nothing stands before this request on its connection, and it asks for what has quick answers."""
        return (
            self._quick is not None
            and self.url == QUICK_PATH
            and self.parser.get_method() == b"POST"
            and self._is_free()
        )

    def _is_free(self) -> bool:
        """Whether nothing stands before the next answer on its connection."""
        return not self._is_answering() and not self.pipeline and not self.flow.write_paused

    def _answer_repeated(self, head: RepeatedHead[Any], data: bytes) -> bool:
        """Answer a request that is known by the head of the one before, past the parser."""
        if self._place is not Place.BETWEEN or self._quick is None or not self._is_free() or not self._may_parse():
            return False
        body = head.body_of(data)
        if body is None or not self._answer_quickly(head.asked, body, _KEEP):
            return False
        self._unset_keepalive_if_required()
        if self._timer is None:
            self._await_head()
        return True

    def _answer_parsed(self, body: bytes) -> bool:
        quick, headers = self._quick, self.scope["headers"]
        if quick is None or (asked := quick.read(headers)) is None:
            return False
        keeps = self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"
        if not self._answer_quickly(asked, body, _KEEP if keeps else _CLOSE):
            return False
        self._place = Place.BETWEEN
        if keeps:
            self._repeated = repeated_head(self._piece, body, (name for name, _ in headers), asked)
        else:
            self._close()
        return True

    def _answer_quickly(self, asked: Any, body: bytes, head_end: bytes) -> bool:
        found = None if self._quick is None else self._quick.find(asked, body)
        if found is None:
            return False
        head, content = found
        self.transport.write(b"".join((_OK, self._default_head(), head, head_end, content)))
        self.server_state.total_requests += 1
        self._answered_s = self.loop.time()
        return True

    def _default_head(self) -> bytes:
        return b"".join([b"%b: %b\r\n" % header for header in self.server_state.default_headers])

    def _begin_request(self, body: bytes = b"") -> None:
        """Start to answer, beside what may still come of the body."""
        super().on_headers_complete()
        self._place = Place.BODY
        self.cycle.transport = self._answers
        if self.scope["http_version"] == "1.0":
            # Before it is handed to the application, whose task has only been made.
            setattr(self.cycle, "send", without_chunks(self.cycle))  # noqa: B010  # to mypy a method is no attribute
        self.cycle.body += body
        request = RequestConnection(self.cycle, self.flow)
        # ASGI leaves the values of an extension to it; uvicorn declares them as dicts.
        self.scope["extensions"] = cast("dict[str, dict[object, object]]", {EXTENSION: request})
        self._open.append(request)
        if self._has_ended:
            request.half_close()
        if self.pipeline:
            # uvicorn stops reading for it, and with that it would not see a client that leaves.
            self.flow.resume_reading()
        self._discarded_bytes = 0
        self._stop_timer()

    def _begin_unfinished(self) -> None:
        """Begin a request whose body is not all there: quick answers are for those that came all at once."""
        if self._quick_body is not None:
            body, self._quick_body = b"".join(self._quick_body), None
            self._begin_request(body)

    def _must_wait(self) -> bool:
        """Whether what comes is of a request whose turn has not come."""
        return self._is_answering() and (self._place is Place.BETWEEN or self._place is Place.HEAD)

    def _may_parse(self) -> bool:
        is_read = self._place is not Place.IGNORED and self._place is not Place.LINGERING
        return is_read and not self._held and not self._must_wait() and not self.transport.is_closing()

    def _hold(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > _MAX_HELD_BYTES:
            self.flow.pause_reading()
            self.flow.is_held = True

    def _finish_ended(self) -> None:
        """Refuse what its client did not send whole, and close after what is under way."""
        if self._held:
            return
        if self._place is Place.LINGERING:
            self._close()
        elif self._place is Place.HEAD or self._place is Place.BODY:
            self._refuse(HTTPStatus.BAD_REQUEST, "The connection ended in the middle of the request")
        elif self._is_answering():
            self.cycle.keep_alive = False
        else:
            self._close()

    def _parse(self, data: bytes) -> None:
        self._bytes_around += len(data)
        self._piece = data
        self._feed(data)
        self._piece = b""
        if self._bytes_around > _MAX_HEAD_BYTES and (self._place is Place.HEAD or self._place is Place.BODY):
            what = "head is" if self._place is Place.HEAD else "trailers are"
            self._begin_unfinished()
            self._refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"The request's {what} larger than {_MAX_HEAD_BYTES} bytes"
            )

    def _feed(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as exc:
                data = self._without_upgrade() + data[exc.args[0] :]
            except httptools.HttpParserError:
                self._begin_unfinished()
                self._refuse(HTTPStatus.BAD_REQUEST, "The request is not valid HTTP")
                data = b""
            else:
                data = b""

    def _is_upgrade(self) -> bool:
        """Whether the parser takes what follows the head for another protocol's; a CONNECT is refused as it is."""
        return self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"

    def _without_upgrade(self) -> bytes:
        """Write the head again for a new parser, since the old one has left the body out.

        RFC 9110 §7.8: a server may ignore the wish for another protocol, which some clients send with every request.
        """
        if not self._is_upgrade():
            return b""
        line = self.parser.get_method() + b" " + self.url + b" HTTP/" + self.parser.get_http_version().encode("ascii")
        fields = [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return b"\r\n".join([line, *fields, b"\r\n"])

    def _await_next(self) -> None:
        """Bound the wait for what comes next, also where it is the late end of a body or a stray line break."""
        if self._place is Place.HEAD or not self._is_answering():
            self._await_head()

    def _await_head(self) -> None:
        self._start_timer(self._limits().header_timeout_s, self._give_up_head)

    def _give_up_head(self) -> None:
        """Act on a timer that quick answers do not set anew: what it waits for may have begun after it did."""
        now_s = self.loop.time()
        if self._is_answering():
            self._await_head()
        elif self._place is Place.HEAD:
            left_s = self._head_began_s + self._limits().header_timeout_s - now_s
            if left_s > 0:
                self._start_timer(left_s, self._give_up_head)
            else:
                self._refuse(HTTPStatus.REQUEST_TIMEOUT, "The request's head did not arrive in time")
        elif (left_s := self._answered_s + self.timeout_keep_alive - now_s) > 0:
            self._start_timer(left_s, self._give_up_head)
        else:
            self._close()

    def _is_answering(self) -> bool:
        """Whether the last request whose head has come is not answered yet."""
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request, whatever uvicorn declares
        return cycle is not None and not cycle.response_complete

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer the request that is being read; where an answer is under way already, only close after it."""
        if self._place is Place.BODY and self.cycle.response_complete:
            self._linger()
            return
        if self._is_answering():
            if self._place is not Place.BODY or self.cycle.response_started or self.pipeline:
                self._ignore_what_follows()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        body = to_json({"detail": detail})
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n{HEADER.lower()}: {uuid4().hex}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self._linger()

    def _ignore_what_follows(self) -> None:
        """Close after the answers that are under way."""
        self.cycle.keep_alive = False
        self._place = Place.IGNORED
        self._stop_timer()
