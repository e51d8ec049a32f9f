"""What the proxy says to requests that it does not begin: while it stops, and where too many are connected."""

from starlette.types import Receive, Scope, Send

from scout_proxy.errors import NotLoadedError
from scout_proxy.routes.error_answers import raw_error


async def refuse_new(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one ASGI request with 503, in the form of its route; its connection is closed after that."""
    del receive
    status, headers, body = raw_error(
        scope["method"], scope["path"], NotLoadedError(log_reason="the proxy begins nothing more")
    )
    headers += [(b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
