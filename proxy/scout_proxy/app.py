"""The proxy's application: every part made once and put together here, nothing done at import."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from scout_proxy.access.gate import Gate, GateMiddleware
from scout_proxy.background import start_in_background, stop
from scout_proxy.cache.answer_cache import AnswerCache
from scout_proxy.cache.memory_store import MemoryStore
from scout_proxy.cache.shared_cache import SharedCache
from scout_proxy.errors import ProxyError
from scout_proxy.generate.contract import API_VERSION
from scout_proxy.generate.front import Front, SideEntrance
from scout_proxy.generate.generate_service import GenerateService
from scout_proxy.generate.generation import Generator
from scout_proxy.generate.quick_answers import QuickAnswers
from scout_proxy.http.request_id import RequestIdMiddleware, RequestIds
from scout_proxy.native.routes import native_routes
from scout_proxy.observation.loop_lag import measure_loop_lag
from scout_proxy.observation.metrics import CacheFigures, MeasuringMiddleware, Metrics
from scout_proxy.observation.observed_generation import GenerationObserver
from scout_proxy.observation.observer import Observer
from scout_proxy.observation.request_record import RECORD, RequestRecord
from scout_proxy.openai.routes import openai_routes
from scout_proxy.route_table import Cache, RouteTable
from scout_proxy.route_watcher import RouteWatcher
from scout_proxy.routes.documented_routes import documented_routes
from scout_proxy.routes.error_answers import DefectError, log_defect, log_failure, raw_error
from scout_proxy.routes.forwarding import Forwarder
from scout_proxy.routes.openapi import describe
from scout_proxy.routes.operator_routes import operator_routes
from scout_proxy.routes.routing_errors import routing_error
from scout_proxy.status import StatusReporter
from scout_proxy.stopping import refuse_new
from scout_proxy.trial.trials import Trials
from scout_proxy.upstreams.balancer import Balancer
from scout_proxy.upstreams.engine import Engines
from scout_proxy.upstreams.engine_loading import load_tgi_engines
from scout_proxy.upstreams.upstream_pool import UpstreamPool


class ProxyApp(FastAPI):
    """FastAPI with the proxy's own layers around all of it, so that no answer leaves without them."""

    def __init__(
        self,
        routes: RouteWatcher,
        pool: UpstreamPool,
        *,
        metrics: Metrics,
        gate: Gate,
        ids: RequestIds,
        observer: Observer,
        **options: Any,
    ) -> None:
        self._route_table = routes
        self._pool = pool
        self._metrics = metrics
        self._gate = gate
        self._ids = ids
        self._observer = observer
        self._paths: set[str] = set()
        super().__init__(**options)

    def serve_routes(self, router: APIRouter) -> None:
        """Serve a router's routes and measure each by its path."""
        self._paths |= {path for route in router.routes if (path := getattr(route, "path", None)) is not None}
        self.include_router(router)

    def note_failure(self, error: ProxyError, request: Request) -> None:
        """Count an error that a request is answered with, and write its reason into the request's record."""
        self._metrics.count_failure(error)
        record: RequestRecord | None = getattr(request.state, RECORD, None)
        if record is not None:
            record.reason = error.log_reason

    def build_middleware_stack(self) -> ASGIApp:
        """Put the request id, the measuring and the gate outside of FastAPI's own error handling."""
        return self.with_layers(super().build_middleware_stack())

    def with_layers(self, app: ASGIApp) -> ASGIApp:
        """Put the request id, the measuring and the gate around an application."""
        gated = GateMiddleware(app, self._gate, self._metrics)
        measured = MeasuringMiddleware(gated, metrics=self._metrics, routes=self._paths, observer=self._observer)
        return RequestIdMiddleware(measured, self._ids)

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document for the table and the limits of this moment."""
        known = self._pool.known_limits
        most_stops = known.max_stop_sequences if known else None
        return describe(self, self._route_table.served.table, most_stops=most_stops)


class Proxy:
    """All parts of a proxy.

    Attributes:
        app: FastAPI's application, complete in itself.
        front: The same with the short way for generations in front of it; what the server serves.
        quick: Answers that the server may give before there is a request for an application.
        refusal: What the server serves instead of all this to who comes while it stops, or is one too many.
    """

    def __init__(self, app: ProxyApp, front: Front, quick: QuickAnswers) -> None:
        self.app = app
        self.front = front
        self.quick = quick
        self.refusal = app.with_layers(refuse_new)


def create_proxy(
    routes: RouteWatcher,
    *,
    load_engines: Callable[[], Awaitable[Engines]] = load_tgi_engines,
    reload_interval_s: float = 0.1,
    on_loaded: Callable[[], None] = lambda: None,
    observer: Observer | None = None,
) -> Proxy:
    """Build the application; its lifespan watches the route table and probes the upstreams.

    Args:
        on_loaded: Called once, when the last library has been loaded.
        observer: Keeps records of requests; closed at the end of the lifespan.
    """
    observer = observer or Observer()

    async def load() -> Engines:
        engines = await load_engines()
        on_loaded()
        return engines

    pool = UpstreamPool(load)
    metrics = Metrics(pool)
    gate = Gate(lambda: routes.served.table)
    ids = RequestIds()
    cache = AnswerCache(MemoryStore(routes.served.table.cache, on_evict=metrics.count_eviction))
    balancer = Balancer(pool, on_retry=metrics.count_retry)
    generations = GenerationObserver(metrics, observer, lambda: routes.served.table)
    generator = Generator(balancer, metrics, generations)
    service = GenerateService(routes, cache, generator, metrics)

    shared = SharedCache(cache, routes.folder, on_use=metrics.read_store)
    metrics.read_queue(lambda: pool.admission.waiting - pool.admission.held)
    metrics.read_cache(lambda: _cache_figures(cache.memory, routes.served.table.cache))

    side = SideEntrance()
    trials = Trials(side, routes, pool, ids, observer)

    def apply(table: RouteTable) -> None:
        cache.apply(table)
        shared.apply(table.cache)
        pool.apply(table)
        trials.apply()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        routes.notify(apply)
        apply(routes.served.table)
        watching = start_in_background(routes.watch(reload_interval_s), "watch the route table")
        measuring = start_in_background(measure_loop_lag(metrics.loop_lag), "measure the event loop's lag")
        try:
            yield
        finally:
            await stop(watching)
            await stop(measuring)
            await pool.close()
            await shared.close()
            observer.close()

    app = ProxyApp(
        routes,
        pool,
        metrics=metrics,
        gate=gate,
        ids=ids,
        observer=observer,
        title=routes.served.table.identity.name,
        version=API_VERSION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            ProxyError: _render_error,
            HTTPException: _render_no_route,
            Exception: _render_defect,
        },
    )
    app.serve_routes(documented_routes(routes, pool, service))
    forwarder = Forwarder(routes, balancer, metrics, generations)
    app.serve_routes(native_routes(balancer, forwarder))
    app.serve_routes(openai_routes(routes, forwarder))
    reporter = StatusReporter(routes, pool, memory=cache.memory, shared_cache=lambda: shared.status, metrics=metrics)
    app.serve_routes(operator_routes(reporter, metrics, app.openapi))
    front = Front(
        app, routes=routes, gate=gate, service=service, metrics=metrics, ids=ids, observer=observer, side=side
    )
    return Proxy(app, front, QuickAnswers(cache, gate, metrics, ids, observer))


def _cache_figures(memory: MemoryStore, settings: Cache) -> CacheFigures:
    return CacheFigures(
        entries=len(memory),
        size_bytes=memory.size_bytes,
        max_entries=settings.max_entries,
        max_bytes=settings.max_bytes,
    )


async def _render_error(request: Request, exc: Exception) -> Response:
    """Render a domain error in the shape of its route's family."""
    if not isinstance(exc, ProxyError):
        raise exc
    request.app.note_failure(exc, request)
    log_failure(exc, request_id=request.state.request_id, path=request.url.path)
    return _response(request, exc)


async def _render_no_route(request: Request, exc: Exception) -> Response:
    """Render what the router says in the shape of the family that the path would belong to."""
    if not isinstance(exc, HTTPException):
        raise exc
    return _response(request, routing_error(exc))


async def _render_defect(request: Request, _: Exception) -> Response:
    """Answer for a defect of the proxy; the server logs its traceback."""
    request_id = request.state.request_id
    log_defect(request_id=request_id, path=request.url.path)
    return _response(request, DefectError(request_id))


def _response(request: Request, error: ProxyError) -> Response:
    status, headers, body = raw_error(request.method, request.url.path, error)
    response = Response(body, status)
    response.raw_headers = [*headers, (b"content-length", b"%d" % len(body))]
    return response
