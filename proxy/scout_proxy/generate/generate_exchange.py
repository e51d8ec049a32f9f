"""One `POST /generate` over ASGI, for whoever has let it in: its body is read, it is answered, its client watched."""

import asyncio
from collections.abc import Mapping

from starlette.types import Receive, Scope

from scout_proxy.cache.cache_directives import NONE, CacheDirectives, parse_directives
from scout_proxy.caller import Caller
from scout_proxy.errors import NotLoadedError, UnsupportedEncodingError
from scout_proxy.generate.generate_service import Ask, GenerateService
from scout_proxy.http.connection import connection_of
from scout_proxy.http.outgoing import Outgoing
from scout_proxy.http.request_body import read_body, while_connected
from scout_proxy.observation.passed_on import passed_on
from scout_proxy.route_table import Limits


async def exchange(
    scope: Scope, receive: Receive, out: Outgoing, *, service: GenerateService, limits: Limits, caller: Caller
) -> None:
    """Answer one request.

    Raises:
        ProxyError: Before the answer has begun.
    """
    sent: dict[bytes, bytes] = dict(scope["headers"])
    connection = connection_of(scope)
    try:
        if sent.get(b"content-encoding", b"identity").lower() != b"identity":
            raise UnsupportedEncodingError(sent[b"content-encoding"].decode("latin-1"))
        body = await read_body(sent, receive, limits, connection)
        ask = Ask(
            body=body,
            caller=caller,
            directives=_directives(sent, scope),
            connection=connection,
            upstream_headers=passed_on(caller, scope["headers"]),
        )
        if connection is not None:
            await service.answer(ask, out)
        else:
            await while_connected(receive, service.answer(ask, out))
    except asyncio.CancelledError as exc:
        # The server alone cancels requests, where they outlast its time to drain; they still get an answer.
        if out.status is not None:
            raise
        raise NotLoadedError(log_reason="the proxy stops") from exc


def _directives(sent: Mapping[bytes, bytes], scope: Scope) -> CacheDirectives:
    if b"cache-control" not in sent:
        return parse_directives(None, sent[b"pragma"]) if b"pragma" in sent else NONE
    # RFC 9110 §5.3: lines of one name are one list.
    return parse_directives(b",".join([value for name, value in scope["headers"] if name == b"cache-control"]))
