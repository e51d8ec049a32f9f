"""The OpenAI routes: chats, completions and models, streamed too, by the engine's own routes of the same names."""

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from scout_proxy.http.event_stream import KEEP_ALIVE_S, EventAnswer, EventSink
from scout_proxy.openai.errors import openai_error_event
from scout_proxy.openai.openapi import CHAT_BODY, CHATS, COMPLETION_BODY, MODEL, MODELS, TEXTS
from scout_proxy.openai.requests import parse_chat_request, parse_completion_request
from scout_proxy.openai.service import CHAT, COMPLETIONS, OpenAiService, Wanted
from scout_proxy.route_watcher import RouteWatcher
from scout_proxy.routes.forwarding import Asked, Forwarder


def openai_routes(routes: RouteWatcher, forwarder: Forwarder, *, keep_alive_s: float = KEEP_ALIVE_S) -> APIRouter:
    """Build the router.

    Args:
        keep_alive_s: Seconds of an engine's silence after which a stream's client is sent a comment.
    """
    router = APIRouter(tags=["openai"])
    service = OpenAiService(routes, forwarder)

    async def answer(request: Request, asked: Asked, wanted: Wanted, *, stream: bool) -> Response:
        if not stream:
            body = await forwarder.until_answered(request, asked, service.whole(wanted, asked))
            return Response(body, media_type="application/json")

        async def produce(sink: EventSink) -> None:
            async with forwarder.in_time(asked):
                await service.stream(wanted, asked, sink)

        return EventAnswer(produce, write_error=openai_error_event, keep_alive_s=keep_alive_s)

    @router.post(CHAT, responses=CHATS, openapi_extra=CHAT_BODY, response_class=Response, summary="OpenAI: chat")
    async def chat(request: Request) -> Response:
        asked = await forwarder.read(request)
        parsed = parse_chat_request(asked.body)
        return await answer(request, asked, service.chat(parsed, asked), stream=parsed.stream)

    @router.post(
        COMPLETIONS, responses=TEXTS, openapi_extra=COMPLETION_BODY, response_class=Response, summary="OpenAI: complete"
    )
    async def completions(request: Request) -> Response:
        asked = await forwarder.read(request)
        parsed = parse_completion_request(asked.body)
        return await answer(request, asked, service.completion(parsed, asked), stream=parsed.stream)

    @router.get("/v1/models", responses=MODELS, response_class=Response, summary="OpenAI: the one model")
    async def models() -> Response:
        return _json({"object": "list", "data": service.models()})

    @router.get("/v1/models/{model:path}", responses=MODEL, response_class=Response, summary="OpenAI: a model")
    async def one_model(model: str) -> Response:
        service.check_model(model)
        return _json(service.models()[0])

    return router


def _json(body: object) -> Response:
    return Response(to_json(body), media_type="application/json")
