"""The head of a connection's last request that had a quick answer, to know the next one by without parsing it.

A client that keeps its connection writes every head as it wrote the one before, but for the length of the body. What
the parser said of the one holds for bytes that are otherwise the same.
"""

import re
from collections.abc import Iterable
from typing import Generic, TypeVar

_HEAD_END = b"\r\n\r\n"
_LINE_END = b"\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*", re.IGNORECASE)
# What is kept for every connection.
_MAX_HEAD_BYTES = 1024
_MAX_DIGITS = 6

_Asked = TypeVar("_Asked")


class RepeatedHead(Generic[_Asked]):
    """A head, and what it asks for.

    Args:
        before: Its bytes up to the body's length.
        after: Its bytes from there to the body.
    """

    __slots__ = ("_after", "_before", "asked")

    def __init__(self, before: bytes, after: bytes, asked: _Asked) -> None:
        self._before = before
        self._after = after
        self.asked = asked

    def body_of(self, data: bytes) -> bytes | None:
        """Return the body of a request with this head and nothing behind it, None for any other bytes."""
        before, after = self._before, self._after
        if not data.startswith(before):
            return None
        end = data.find(_LINE_END, len(before), len(before) + _MAX_DIGITS + 2)
        digits = data[len(before) : end]
        # `isdigit` of bytes knows the ASCII ones alone, and none where there is nothing.
        if end < 0 or not digits.isdigit() or not data.startswith(after, end):
            return None
        body_at = end + len(after)
        return data[body_at:] if len(data) - body_at == int(digits) else None


def repeated_head(data: bytes, body: bytes, names: Iterable[bytes], asked: _Asked) -> RepeatedHead[_Asked] | None:
    """Return the head of a request that was parsed, where the next one can be known by it.

    Args:
        data: What came, which may be more or less than the request.
        body: The request's, as the parser found it.
        names: Of its headers, in lower case.
    """
    end = data.find(_HEAD_END) + len(_HEAD_END)
    is_whole = len(_HEAD_END) <= end <= _MAX_HEAD_BYTES and data[end:] == body
    if not is_whole or sum(name == b"content-length" for name in names) != 1:
        return None
    found = _LENGTH.search(data, 0, end)
    if found is None:
        return None
    length_end = data.find(_LINE_END, found.end())
    return RepeatedHead(data[: found.end()], data[length_end:end], asked)
