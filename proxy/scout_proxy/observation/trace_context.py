"""W3C trace context: which trace a request belongs to, read from its headers and passed on. Pure.

https://www.w3.org/TR/trace-context/ names the rules. Without spans of its own the proxy takes no part in a trace, so it
passes a valid context on as it came, and starts none.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

_SAMPLED = 0x01
# Level 2 adds that the trace id is random; all other flags are zero on the way out.
_KNOWN_FLAGS = 0x03
_VERSION = "00"
_INVALID_VERSION = "ff"
# A later version may have more parts, each after a dash; only the four that are known are taken.
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16

_MOST_MEMBERS = 32
_MEMBER = re.compile(
    r"(?P<key>[a-z0-9][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)

RawHeaders = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceContext:
    """One place in a trace: what whoever is asked next belongs under.

    Args:
        trace_id: 32 hexadecimal digits in lower case.
        span_id: 16 of them; the parent of what comes next.
        flags: Bit 0 says that the trace is recorded.
        state: `tracestate` as it goes into the header, empty where there is none.
    """

    trace_id: str
    span_id: str
    flags: int = 0
    state: str = ""

    @property
    def is_sampled(self) -> bool:
        """Whether whoever began the trace records it."""
        return bool(self.flags & _SAMPLED)

    def child(self, span_id: str, *, is_sampled: bool) -> "TraceContext":
        """Return the place under a span of this trace."""
        flags = self.flags & ~_SAMPLED | (_SAMPLED if is_sampled else 0)
        return replace(self, span_id=span_id, flags=flags)

    def headers(self) -> dict[str, str]:
        """Return what a request that is sent from here carries."""
        headers = {"traceparent": f"{_VERSION}-{self.trace_id}-{self.span_id}-{self.flags:02x}"}
        if self.state:
            headers["tracestate"] = self.state
        return headers


def read_trace_context(headers: RawHeaders) -> TraceContext | None:
    """Return the context that a request's headers carry, their names in lower case; None where there is no valid one.

    A second `traceparent` makes both worthless; several `tracestate` are one list.
    """
    parent: bytes | None = None
    states: list[bytes] = []
    for name, value in headers:
        if name == b"traceparent":
            if parent is not None:
                return None
            parent = value
        elif name == b"tracestate":
            states.append(value)
    if parent is None:
        return None
    return parse_trace_context(parent.decode("latin-1"), b",".join(states).decode("latin-1"))


def parse_trace_context(traceparent: str, tracestate: str = "") -> TraceContext | None:
    """Return the context, None where `traceparent` is not valid. A `tracestate` that is not valid is left out."""
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == _INVALID_VERSION or (version == _VERSION and more):
        return None
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return TraceContext(
        trace_id=trace_id, span_id=span_id, flags=int(flags, 16) & _KNOWN_FLAGS, state=_parse_state(tracestate)
    )


def _parse_state(tracestate: str) -> str:
    if not tracestate:
        return ""
    members = [member for part in tracestate.split(",") if (member := part.strip(" \t"))]
    matches = [_MEMBER.fullmatch(member) for member in members]
    keys = {match["key"] for match in matches if match}
    # A key that comes twice is not valid either, and the set tells.
    return ",".join(members) if len(keys) == len(members) <= _MOST_MEMBERS else ""
