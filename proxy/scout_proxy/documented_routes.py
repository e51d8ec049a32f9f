"""The documented routes: `GET /`, `GET /health`, `POST /generate`, with their exact bodies."""

import asyncio
from time import monotonic

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from scout_proxy.contract import (
    API_VERSION,
    GenerateAnswer,
    GenerateRequest,
    Health,
    Root,
    parse_generate_request,
)
from scout_proxy.errors import DeadlineError, NotLoadedError
from scout_proxy.generation import Generator
from scout_proxy.openapi import GENERATE_BODY, OK_HEADERS, error_answers
from scout_proxy.request_body import read_body, while_connected
from scout_proxy.route_watcher import RouteWatcher
from scout_proxy.served_table import ServedTable
from scout_proxy.upstream_pool import ServiceState, UpstreamPool


def documented_routes(routes: RouteWatcher, pool: UpstreamPool, generator: Generator) -> APIRouter:
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
        "/generate",
        response_model=GenerateAnswer,
        responses=OK_HEADERS | error_answers(408, 413, 422, 429, 500, 503, 504),
        openapi_extra=GENERATE_BODY,
        summary="Generate text",
    )
    async def generate(request: Request) -> Response:
        served = routes.served
        limits = served.table.limits
        began = monotonic()
        body = await read_body(request.headers, request.receive, limits)
        wanted = parse_generate_request(body, max_num_return_sequences=limits.max_num_return_sequences)
        left_s = limits.deadline_s - (monotonic() - began)
        texts = await while_connected(request.receive, _generate(generator, served, wanted, left_s))
        return _json({"generated_texts": texts, "parameters": wanted.model_dump()})

    return router


async def _generate(generator: Generator, served: ServedTable, wanted: GenerateRequest, left_s: float) -> list[str]:
    text = served.format_prompt(wanted.prompt)
    try:
        async with asyncio.timeout(left_s):
            return await generator.generate(wanted, text)
    except (TimeoutError, DeadlineError) as exc:
        raise DeadlineError(served.table.limits.deadline_s) from exc


def _json(body: object) -> Response:
    return Response(to_json(body), media_type="application/json")
