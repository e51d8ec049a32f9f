"""The engine as an ASGI application."""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from scout_engine import wire
from scout_engine.config import ServedModel
from scout_engine.errors import BodyError, RequestError
from scout_engine.generation import Engine
from scout_engine.http_exchange import ClientGoneError, json_response
from scout_engine.native_routes import NativeRoutes

Handler = Callable[[Request, Exception], Awaitable[Response]]


def create_app(engine: Engine, model: ServedModel) -> Starlette:
    """Return the application that serves `engine` as `model`."""
    routes = NativeRoutes(engine, model).routes()

    async def request_failed(request: Request, error: Exception) -> Response:
        del request
        assert isinstance(error, RequestError)
        engine.metrics.failures.increment(error.error_type)
        return json_response(wire.error_body(error), status=error.status)

    handlers: dict[int | type[Exception], Handler] = {
        RequestError: request_failed,
        BodyError: _body_refused,
        ClientGoneError: _client_gone,
    }
    return Starlette(routes=routes, exception_handlers=handlers)


async def _body_refused(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, BodyError)
    return PlainTextResponse(str(error), error.status)


async def _client_gone(request: Request, error: Exception) -> Response:
    """Nobody reads this answer; 499 is what nginx logs for it."""
    del request, error
    return Response(status_code=499)
