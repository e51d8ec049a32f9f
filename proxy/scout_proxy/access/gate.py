"""Who comes in: API keys, their limits and CORS, for every route, by the route table of the moment."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scout_proxy.access.cors import CorsRules, RawHeaders
from scout_proxy.access.gate_errors import CorsRefusedError
from scout_proxy.access.key_limits import KeyLimits
from scout_proxy.access.key_ring import KeyRing
from scout_proxy.access.open_paths import needs_key
from scout_proxy.errors import ProxyError
from scout_proxy.observation.metrics import Metrics
from scout_proxy.observation.request_record import RECORD
from scout_proxy.route_table import Cors, Keys, RouteTable
from scout_proxy.routes.error_answers import raw_error

KEY_ID = "key_id"


@dataclass(frozen=True, kw_only=True)
class GateRules:
    """What holds under one route table."""

    keys: Keys | None
    ring: KeyRing
    cors: CorsRules


class Gate:
    """Holds the rules, made anew where the table says something else than before. `limits` outlives the tables.

    Args:
        table: Gives the table of the moment.
    """

    def __init__(self, table: Callable[[], RouteTable], clock: Callable[[], float] = monotonic) -> None:
        self._table = table
        self._seen = table()
        self._rules = _rules(self._seen.keys, self._seen.cors)
        self.limits = KeyLimits(self._seen.keys, clock)

    @property
    def rules(self) -> GateRules:
        """The rules of this moment."""
        table = self._table()
        if table is not self._seen:
            self._take(table)
        return self._rules

    def admit(self, method: str, path: str, authorization: bytes | None) -> str:
        """Return the id of a request's key, the empty text where it needs none.

        Raises:
            UnauthorizedError: It needs a key and has none that is known.
        """
        rules = self.rules
        return rules.ring.identify(authorization) if needs_key(method, path, rules.keys) else ""

    def _take(self, table: RouteTable) -> None:
        before, self._seen = self._seen, table
        if (table.keys, table.cors) != (before.keys, before.cors):
            self._rules = _rules(table.keys, table.cors)
            self.limits.apply(table.keys)


def _rules(keys: Keys | None, cors: Cors) -> GateRules:
    return GateRules(keys=keys, ring=KeyRing(keys), cors=CorsRules(cors.origins))


class GateMiddleware:
    """Lets a request in or answers it, and puts the id of its key into the scope's state as `key_id`.

    A request that has one there already was let in before, by whoever then counts it; it only gets its CORS headers.
    Limits are for what asks the model, which is by POST.
    """

    def __init__(self, app: ASGIApp, gate: Gate, metrics: Metrics | None = None) -> None:
        self._app = app
        self._gate = gate
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if cors := self._gate.rules.cors:
            if scope["method"] == "OPTIONS" and (answer := cors.preflight(scope["headers"])):
                await _answer_preflight(scope, send, *answer)
                return
            send = _adding(cors.headers_for(_header(scope, b"origin")), send)
        if KEY_ID in scope.setdefault("state", {}):
            await self._app(scope, receive, send)
        else:
            await self._let_in(scope, receive, send)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, key_id = scope["method"], ""
        try:
            key_id = self._gate.admit(method, scope["path"], _header(scope, b"authorization"))
            is_counted = bool(key_id) and method == "POST"
            if is_counted:
                self._gate.limits.begin(key_id)
        except ProxyError as error:
            self._count(key_id, error)
            await _answer(scope, send, error)
            return
        scope["state"][KEY_ID] = key_id
        if (record := scope["state"].get(RECORD)) is not None:
            record.key_id = key_id
        if is_counted:
            self._count(key_id)
        try:
            await self._app(scope, receive, send)
        finally:
            if is_counted:
                self._gate.limits.end(key_id)

    def _count(self, key_id: str, error: ProxyError | None = None) -> None:
        if self._metrics is None:
            return
        if error is not None:
            self._metrics.count_failure(error)
        if key_id:
            meter = self._metrics.key_handle(key_id)
            (meter.requests if error is None else meter.refused).value += 1


def _header(scope: Scope, wanted: bytes) -> bytes | None:
    found: bytes | None = next((value for name, value in scope["headers"] if name == wanted), None)
    return found


def _adding(added: RawHeaders, send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *added]
        await send(message)

    return send_with_headers


async def _answer_preflight(scope: Scope, send: Send, status: int, headers: RawHeaders) -> None:
    if status != CorsRefusedError.status:
        await _send(send, status, headers, b"")
        return
    await _answer(scope, _adding(headers, send), CorsRefusedError())


async def _answer(scope: Scope, send: Send, error: ProxyError) -> None:
    status, headers, body = raw_error(scope["method"], scope["path"], error)
    await _send(send, status, (*headers, (b"content-length", b"%d" % len(body))), body)


async def _send(send: Send, status: int, headers: RawHeaders, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})
