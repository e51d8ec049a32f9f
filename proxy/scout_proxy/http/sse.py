"""Server-sent events: bytes as they come to the payloads of whole events, and payloads to bytes. Pure.

WHATWG HTML §9.2 (server-sent events), of which engines use the `data` field alone. Other fields are passed over.
"""

COMMENT = b":\n\n"
"""An event stream's way to say nothing: keeps a silent connection open."""

_LINE_FEED = b"\n"
_END = b"\n\n"


class EventTooLargeError(Exception):
    """One event is larger than the reader takes."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"an event is larger than {limit_bytes} bytes")


class EventReader:
    """Reads one stream: bytes, cut anywhere, to the payloads of the events that they complete.

    Takes `data:` with a space behind it and without, every line ending, several `data` lines for one event, comments.
    An event that the stream's end cuts off is none.

    Args:
        max_event_bytes: The largest event that is taken; so much is kept at most.
    """

    def __init__(self, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._rest = bytearray()
        self._ends_in_return = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the payloads of the events that end in `chunk`, in their order.

        Raises:
            EventTooLargeError: One is larger than allowed.
        """
        if self._ends_in_return or b"\r" in chunk:
            chunk = self._with_line_feeds(chunk)
        if not self._rest and chunk.endswith(_END):
            return self._payloads(chunk)
        # Only a chunk that brings an end is looked through together with what was kept, however small the chunks are.
        ends = _END in chunk or (self._rest.endswith(_LINE_FEED) and chunk.startswith(_LINE_FEED))
        self._rest += chunk
        payloads = self._take_whole_events() if ends else []
        if len(self._rest) > self._max_event_bytes:
            raise EventTooLargeError(self._max_event_bytes)
        return payloads

    def _take_whole_events(self) -> list[bytes]:
        end = self._rest.rindex(_END) + len(_END)
        whole = bytes(self._rest[:end])
        del self._rest[:end]
        return self._payloads(whole)

    def _payloads(self, events: bytes) -> list[bytes]:
        payloads = []
        for event in events.split(_END):
            if len(event) > self._max_event_bytes:
                raise EventTooLargeError(self._max_event_bytes)
            if event.startswith(b"data:") and _LINE_FEED not in event:
                payloads.append(event[6:] if event[5:6] == b" " else event[5:])
            elif event and (lines := _data_lines(event)):
                payloads.append(_LINE_FEED.join(lines))
        return payloads

    def _with_line_feeds(self, chunk: bytes) -> bytes:
        """Make every line end in a line feed; a return at the chunk's end is half of one where a line feed follows."""
        if self._ends_in_return:
            chunk = b"\r" + chunk
        self._ends_in_return = chunk.endswith(b"\r")
        if self._ends_in_return:
            chunk = chunk[:-1]
        return chunk.replace(b"\r\n", _LINE_FEED).replace(b"\r", _LINE_FEED)


def write_event(payload: bytes, *, name: str | None = None) -> bytes:
    """Return one event; its payload is one line, as JSON is."""
    return (b"event: %b\n" % name.encode() if name else b"") + b"data: %b\n\n" % payload


def write_events(payloads: list[bytes]) -> bytes:
    """Return events without a name."""
    return b"".join([b"data: %b\n\n" % payload for payload in payloads])


def _data_lines(event: bytes) -> list[bytes]:
    fields = [line.partition(b":") for line in event.split(_LINE_FEED)]
    return [value.removeprefix(b" ") for name, _, value in fields if name == b"data"]
