"""The way of `POST /generate` in front of FastAPI: the same parts do the same work, without its layers.

FastAPI serves the route too, from the same parts, and describes it; both ways give the same bytes, as a test shows.
"""

from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from scout_proxy.access.gate import Gate
from scout_proxy.caller import Caller
from scout_proxy.errors import ClientGoneError, ProxyError
from scout_proxy.generate.generate_exchange import exchange
from scout_proxy.generate.generate_service import ROUTE, GenerateService
from scout_proxy.http.connection import connection_of
from scout_proxy.http.outgoing import Outgoing
from scout_proxy.http.request_id import RAW_HEADER, RequestIds
from scout_proxy.observation.metrics import Metrics
from scout_proxy.observation.observer import Observer
from scout_proxy.routes.error_answers import DefectError, log_defect, log_failure, raw_error
from scout_proxy.served_table import TableSource

_METHOD = "POST"


class SideDoor(Protocol):
    """Another way for some generations."""

    def admit(self, scope: Scope) -> Scope | None:
        """Return what is to be answered there of a request that may go this way; None for one that may not."""
        ...

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one that was admitted."""
        ...


@dataclass(slots=True)
class SideEntrance:
    """Where a side door is, while there is one."""

    door: SideDoor | None = None


class Front:
    """Answers generations itself and leaves everything else to the application.

    Args:
        side: Asked first for each generation, while it has a door.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        routes: TableSource,
        gate: Gate,
        service: GenerateService,
        metrics: Metrics,
        ids: RequestIds,
        observer: Observer,
        side: SideEntrance | None = None,
    ) -> None:
        self._app = app
        self._side = side or SideEntrance()
        self._ids = ids
        self._routes = routes
        self._gate = gate
        self._service = service
        self._metrics = metrics
        self._observer = observer
        self._meter = metrics.request_handle(ROUTE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection."""
        if scope["type"] != "http" or scope["path"] != ROUTE or scope["method"] != _METHOD:
            await self._app(scope, receive, send)
            return
        if (door := self._side.door) is not None and (admitted := door.admit(scope)) is not None:
            await door.answer(admitted, receive, send)
            return
        # Of a header that is sent twice the first one counts, as everywhere.
        sent = dict(reversed(scope["headers"]))
        request_id = self._ids.name(sent.get(RAW_HEADER))
        caller = Caller(arrived_s=monotonic(), request_id=request_id.decode("ascii"))
        if self._observer.keeps_records:
            caller.record = self._observer.begin(
                request_id=caller.request_id, method=_METHOD, route=ROUTE, headers=scope["headers"]
            )
        added = (*self._gate.rules.cors.headers_for(sent.get(b"origin")), (RAW_HEADER, request_id))
        out = Outgoing(send, connection_of(scope), added, is_direct=True)
        self._metrics.in_flight.value += 1
        status = ClientGoneError.status
        try:
            await self._answer(scope, receive, out, caller, sent.get(b"authorization"))
        except ProxyError as error:
            status = error.status
            self._metrics.count_failure(error)
            if caller.record is not None:
                caller.record.reason = error.log_reason
            if out.status is None:
                log_failure(error, request_id=caller.request_id, path=ROUTE)
                await out.whole(*raw_error(_METHOD, ROUTE, error))
        except Exception:
            log_defect(request_id=caller.request_id, path=ROUTE)
            if out.status is not None:
                raise
            await out.whole(*raw_error(_METHOD, ROUTE, DefectError(caller.request_id)))
        finally:
            self._metrics.in_flight.value -= 1
            self._finish(out.status or status, caller)

    def _finish(self, status: int, caller: Caller) -> None:
        duration_s = monotonic() - caller.arrived_s
        self._meter.finish(status, duration_s)
        if (record := caller.record) is not None:
            record.key_id = caller.key_id
            self._observer.end(record, status, duration_s)

    async def _answer(
        self, scope: Scope, receive: Receive, out: Outgoing, caller: Caller, authorization: bytes | None
    ) -> None:
        key_id = caller.key_id = self._gate.admit(_METHOD, ROUTE, authorization)
        limits = self._routes.served.table.limits
        if not key_id:
            await exchange(scope, receive, out, service=self._service, limits=limits, caller=caller)
            return
        meter = self._metrics.key_handle(key_id)
        try:
            self._gate.limits.begin(key_id)
        except ProxyError:
            meter.refused.value += 1
            raise
        meter.requests.value += 1
        try:
            await exchange(scope, receive, out, service=self._service, limits=limits, caller=caller)
        finally:
            self._gate.limits.end(key_id)
