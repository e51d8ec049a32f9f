"""The engine as an ASGI application."""

import logging
from collections.abc import Awaitable, Callable
from typing import cast

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from scout_engine import wire
from scout_engine.config import ServedModel
from scout_engine.errors import BodyError, RequestError
from scout_engine.generation import Engine
from scout_engine.http_exchange import ClientGoneError, json_response
from scout_engine.native_routes import NativeRoutes
from scout_engine.openai_routes import OpenAiRoutes

_LOG = logging.getLogger(__name__)

Handler = Callable[[Request, Exception], Awaitable[Response]]


def create_app(engine: Engine, model: ServedModel) -> Starlette:
    """Return the application that serves `engine` as `model`."""

    async def request_failed(_: Request, error: Exception) -> Response:
        failed = cast("RequestError", error)
        engine.metrics.failures.increment(failed.error_type)
        _LOG.info("answered %s: %s", failed.status, failed)
        return json_response(wire.error_body(failed), status=failed.status)

    handlers: dict[int | type[Exception], Handler] = {
        RequestError: request_failed,
        BodyError: _body_refused,
        ClientGoneError: _client_gone,
    }
    routes = [*NativeRoutes(engine, model).routes(), *OpenAiRoutes(engine, model).routes()]
    return Starlette(routes=routes, exception_handlers=handlers)


async def _body_refused(_: Request, error: Exception) -> Response:
    return PlainTextResponse(str(error), cast("BodyError", error).status)


async def _client_gone(_: Request, _error: Exception) -> Response:
    """Nobody reads this answer; 499 is what nginx logs for it."""
    return Response(status_code=499)
