"""The proxy's application: every part made once and put together here, nothing done at import."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp

from scout_proxy.background import start_in_background, stop
from scout_proxy.contract import API_VERSION
from scout_proxy.documented_routes import documented_routes
from scout_proxy.engine import Engines
from scout_proxy.engine_loading import load_tgi_engines
from scout_proxy.errors import ProxyError
from scout_proxy.generation import Generator
from scout_proxy.metrics import MeasuringMiddleware, Metrics
from scout_proxy.openapi import describe
from scout_proxy.operator_routes import operator_routes
from scout_proxy.request_id import RequestIdMiddleware
from scout_proxy.route_watcher import RouteWatcher
from scout_proxy.status import StatusReporter
from scout_proxy.upstream_pool import UpstreamPool

_log = logging.getLogger(__name__)

_LOGGED_FROM_STATUS = 500
_UNAVAILABLE = 503


class ProxyApp(FastAPI):
    """FastAPI with the proxy's own layers around all of it, so that no answer leaves without them."""

    def __init__(self, routes: RouteWatcher, metrics: Metrics, **options: Any) -> None:
        self._route_table = routes
        self._metrics = metrics
        self._paths: set[str] = set()
        super().__init__(**options)

    def serve_routes(self, router: APIRouter) -> None:
        """Serve a router's routes and measure each by its path."""
        self._paths |= {path for route in router.routes if (path := getattr(route, "path", None)) is not None}
        self.include_router(router)

    def build_middleware_stack(self) -> ASGIApp:
        """Put the request id and the measuring outside of FastAPI's own error handling."""
        measured = MeasuringMiddleware(super().build_middleware_stack(), metrics=self._metrics, routes=self._paths)
        return RequestIdMiddleware(measured)

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document for the limits of this moment."""
        return describe(self, self._route_table.served.table.limits)


def create_app(
    routes: RouteWatcher,
    *,
    load_engines: Callable[[], Awaitable[Engines]] = load_tgi_engines,
    reload_interval_s: float = 0.1,
) -> ProxyApp:
    """Build the application; its lifespan watches the route table and probes the upstreams."""
    pool = UpstreamPool(load_engines)
    metrics = Metrics(pool)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        routes.notify(lambda table: pool.apply(table.upstreams))
        pool.apply(routes.served.table.upstreams)
        watching = start_in_background(routes.watch(reload_interval_s), "watch the route table")
        try:
            yield
        finally:
            await stop(watching)
            await pool.close()

    app = ProxyApp(
        routes,
        metrics,
        title=routes.served.table.identity.name,
        version=API_VERSION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={ProxyError: _render_error, Exception: _render_bug},
    )
    app.serve_routes(documented_routes(routes, pool, Generator(pool, metrics)))
    app.serve_routes(operator_routes(StatusReporter(routes, pool), metrics, app.openapi))
    return app


async def _render_error(request: Request, exc: Exception) -> Response:
    """Render a domain error in the documented routes' shape."""
    if not isinstance(exc, ProxyError):
        raise exc
    level = logging.WARNING if exc.status >= _LOGGED_FROM_STATUS and exc.status != _UNAVAILABLE else logging.DEBUG
    _log.log(level, "request failed", extra=_event(request, status=exc.status, reason=exc.log_reason))
    return JSONResponse({"detail": exc.detail}, exc.status, exc.headers)


async def _render_bug(request: Request, _: Exception) -> Response:
    """Answer for a defect of the proxy; the server logs its traceback."""
    event = _event(request, status=_LOGGED_FROM_STATUS)
    _log.error("request met a defect of the proxy", extra=event)
    detail = f"Generation failed: internal error of the proxy; its log has the cause at request {event['request_id']}"
    return JSONResponse({"detail": detail}, _LOGGED_FROM_STATUS)


def _event(request: Request, **fields: object) -> dict[str, object]:
    return {"request_id": request.state.request_id, "path": request.url.path, **fields}
