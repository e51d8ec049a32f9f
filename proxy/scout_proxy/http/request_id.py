"""Gives every request an id: the client's own where it is sane, else a new one; every answer carries it."""

import re
from itertools import count
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-ID"
RAW_HEADER = HEADER.lower().encode("ascii")
# What a log line, a header and a file name can all carry.
_SANE = re.compile(rb"[A-Za-z0-9._:=+/@-]{1,128}")
# New ids are told apart by their ends and processes by their beginnings: no two are the same, at a tenth of the cost
# of drawing each one. They are names and no secrets.
_BEGINNING_CHARS = 16


class RequestIds:
    """Names requests; those of two processes, and of two times of one, never share a name."""

    def __init__(self) -> None:
        self._beginning = uuid4().hex[:_BEGINNING_CHARS].encode("ascii")
        self._count = count(1)

    def name(self, sent: bytes | None) -> bytes:
        """Return the id that a client sent, or a new one where it sent none or one that is too long or too strange."""
        if sent is not None and _SANE.fullmatch(sent):
            return sent
        return b"%b%016x" % (self._beginning, next(self._count))


class RequestIdMiddleware:
    """Puts the id into the scope's state, for logs, and into the answer's headers."""

    def __init__(self, app: ASGIApp, ids: RequestIds) -> None:
        self._app = app
        self._ids = ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = Headers(scope=scope).get(HEADER)
        request_id = self._ids.name(sent.encode("latin-1") if sent is not None else None)
        scope.setdefault("state", {})["request_id"] = request_id.decode("ascii")

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (RAW_HEADER, request_id)]
            await send(message)

        await self._app(scope, receive, send_with_id)
