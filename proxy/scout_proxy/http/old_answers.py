"""Answers of unknown length to clients of HTTP/1.0, which know no chunks: they end with the connection.

RFC 9112 §6.1 (no transfer coding for them) and §6.3 (such a body's length).
"""

import sys
from collections.abc import Callable, Coroutine
from typing import Any

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_ANY_LENGTH = sys.maxsize


def without_chunks(cycle: RequestResponseCycle) -> Callable[[ASGISendEvent], Coroutine[Any, Any, None]]:
    """Return a way to send what uvicorn would send in chunks."""
    send = cycle.send
    ends_with_connection = False

    async def send_plainly(message: ASGISendEvent) -> None:
        nonlocal ends_with_connection
        if message["type"] == "http.response.start":
            ends_with_connection = not any(name.lower() == b"content-length" for name, _ in message.get("headers", ()))
            if ends_with_connection:
                cycle.chunked_encoding, cycle.expected_content_length = False, _ANY_LENGTH
        elif message["type"] == "http.response.body" and ends_with_connection and not message.get("more_body", False):
            cycle.expected_content_length = len(message.get("body", b""))
        await send(message)

    return send_plainly
