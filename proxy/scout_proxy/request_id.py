"""Gives every request an id: the client's own where it is sane, else a new one; every answer carries it."""

import re
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-ID"
# What a log line, a header and a file name can all carry.
_SANE = re.compile(r"[A-Za-z0-9._:=+/@-]{1,128}")


class RequestIdMiddleware:
    """Puts the id into the scope's state, for logs, and into the answer's headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = request_id_for(Headers(scope=scope).get(HEADER))
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        await self._app(scope, receive, send_with_id)


def request_id_for(sent: str | None) -> str:
    """Return the id that a client sent, or a new one where it sent none or one that is too long or too strange."""
    return sent if sent is not None and _SANE.fullmatch(sent) else uuid4().hex
