"""The routes for whoever operates the service: `/status`, `/metrics`, `/docs`."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse
from prometheus_client import CONTENT_TYPE_LATEST

from scout_proxy.observation.metrics import Metrics
from scout_proxy.routes.docs_page import render_docs
from scout_proxy.routes.openapi import OK_HEADERS
from scout_proxy.status import Status, StatusReporter


def operator_routes(reporter: StatusReporter, metrics: Metrics, document: Callable[[], dict[str, Any]]) -> APIRouter:
    """Build the router.

    Args:
        document: Gives the OpenAPI document, of which `/docs` is a page.
    """
    router = APIRouter(tags=["operation"])

    @router.get("/status", response_model=Status, responses=OK_HEADERS, summary="Start-up, upstreams, limits")
    async def status() -> Response:
        return Response(reporter.report().model_dump_json(), media_type="application/json")

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {**OK_HEADERS[200], "content": {"text/plain": {"schema": {"type": "string"}}}}},
        summary="Metrics for Prometheus",
    )
    async def prometheus() -> Response:
        return Response(metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @router.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(render_docs(document()))

    return router
