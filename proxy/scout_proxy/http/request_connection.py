"""What one request's answer may ask of its connection, on uvicorn's protocol: `connection.Connection`."""

from collections.abc import Callable, Sequence

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle


class RequestConnection:
    """One request of a connection."""

    __slots__ = ("_cycle", "_flow", "_has_taken_body", "_is_half_closed", "_leave")

    def __init__(self, cycle: RequestResponseCycle, flow: FlowControl) -> None:
        self._cycle = cycle
        self._flow = flow
        self._has_taken_body = False
        self._leave: Callable[[], None] | None = None
        self._is_half_closed = False

    def take_body(self) -> bytes | None:
        """Return the request's body where all of it is there and nobody has read of it; None otherwise."""
        cycle = self._cycle
        if cycle.more_body or cycle.disconnected or self._has_taken_body:
            return None
        self._has_taken_body = True
        body, cycle.body = bytes(cycle.body), bytearray()
        # uvicorn stops reading for a large one.
        self._flow.resume_reading()
        return body

    def on_leave(self, leave: Callable[[], None]) -> None:
        """Call `leave` once when the client goes away before its answer is complete; at once where it has gone."""
        if self._cycle.disconnected or self._is_half_closed:
            leave()
        else:
            self._leave = leave

    def write_whole(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """Write a whole answer at once; False where its client does not take it now, or one has begun.

        uvicorn's own way writes head and body for themselves, each of which costs a system call and a packet.
        """
        cycle = self._cycle
        if self._flow.write_paused or cycle.disconnected or cycle.response_started:
            return False
        lines = [STATUS_LINE[status], *[b"%b: %b\r\n" % header for header in (*cycle.default_headers, *headers)]]
        if not cycle.keep_alive:
            lines.append(b"connection: close\r\n")
        head = b"".join(lines)
        if head.count(b"\n") != len(lines):
            raise ValueError("a header has a line break in it")
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.transport.write(b"".join((head, b"\r\n", body)))
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()
        return True

    def write_chunk(self, data: bytes) -> bool:
        """Write a part of an answer that has begun without a length; False where the client does not take it now.

        Nothing is written of an empty part, which on the wire would end the answer.
        """
        cycle = self._cycle
        if not data or self._flow.write_paused or cycle.disconnected or not cycle.chunked_encoding:
            return False
        cycle.transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        return True

    def give_up(self) -> None:
        """Close it without an end of the answer; a client that takes nothing more is not waited for."""
        self._cycle.disconnected = True
        self._cycle.transport.close()

    def end(self) -> None:
        """Let go of what the answer needed: the request and this hold each other, and only the collector ends that."""
        self._leave = None
        self._cycle.scope.pop("extensions", None)

    def half_close(self) -> None:
        """Tell whoever waits on behalf of the client that it sends nothing more, as one that has gone."""
        self._is_half_closed = True
        if self._leave is not None:
            self._leave()

    def lose(self) -> None:
        """Tell whoever answers that the client has gone."""
        cycle = self._cycle
        if cycle.response_complete:
            return
        cycle.disconnected = True
        cycle.message_event.set()
        if self._leave is not None:
            self._leave()
