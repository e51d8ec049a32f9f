"""The documented routes: `GET /`, `GET /health`, `POST /generate`, with their exact bodies."""

from time import monotonic

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json
from starlette.types import Receive, Scope, Send

from scout_proxy.access.gate import KEY_ID
from scout_proxy.caller import Caller
from scout_proxy.errors import ClientGoneError, NotLoadedError
from scout_proxy.generate.contract import API_VERSION, GenerateAnswer, Health, Root
from scout_proxy.generate.generate_exchange import exchange
from scout_proxy.generate.generate_service import ROUTE, GenerateService
from scout_proxy.http.connection import connection_of
from scout_proxy.http.outgoing import Outgoing
from scout_proxy.observation.request_record import RECORD
from scout_proxy.route_watcher import RouteWatcher
from scout_proxy.routes.openapi import GENERATE_BODY, GENERATE_HEADERS, OK_HEADERS, error_answers
from scout_proxy.upstreams.upstream_pool import ServiceState, UpstreamPool


def documented_routes(routes: RouteWatcher, pool: UpstreamPool, service: GenerateService) -> APIRouter:
    """Build the router of the documented contract."""
    router = APIRouter(tags=["documented"])

    @router.get("/", response_model=Root, responses=OK_HEADERS, summary="What this service is")
    async def root() -> Response:
        identity = routes.served.table.identity
        return _json({"name": identity.name, "version": API_VERSION, "status": pool.state, "model": identity.model})

    @router.get(
        "/health", response_model=Health, responses=OK_HEADERS | error_answers(503), summary="Whether the model serves"
    )
    async def health() -> Response:
        if pool.state is not ServiceState.ACTIVE:
            raise NotLoadedError(retry_after_s=pool.retry_after_s)
        return _json({"status": "healthy"})

    @router.post(
        ROUTE,
        response_model=GenerateAnswer,
        responses=GENERATE_HEADERS | error_answers(401, 408, 413, 415, 422, 429, 500, 503, 504),
        openapi_extra=GENERATE_BODY,
        summary="Generate text",
    )
    async def generate(request: Request) -> Response:
        state = request.state
        caller = Caller(
            arrived_s=monotonic(),
            request_id=state.request_id,
            key_id=getattr(state, KEY_ID, ""),
            record=getattr(state, RECORD, None),
        )
        return _Exchange(routes, service, caller)

    return router


class _Exchange(Response):
    """The answer to a generation, which reads its request and writes itself."""

    def __init__(self, routes: RouteWatcher, service: GenerateService, caller: Caller) -> None:
        super().__init__()
        self._routes = routes
        self._service = service
        self._caller = caller

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        out, limits = Outgoing(send, connection_of(scope)), self._routes.served.table.limits
        try:
            await exchange(scope, receive, out, service=self._service, limits=limits, caller=self._caller)
        except ClientGoneError:
            # Nobody is there any more to be told so.
            if out.status is None:
                raise


def _json(body: object) -> Response:
    return Response(to_json(body), media_type="application/json")
