"""TGI's native routes, for the clients that speak it: bodies go to the engine as they are, and are never templated."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from scout_proxy.http.event_stream import KEEP_ALIVE_S, EventAnswer, EventSink
from scout_proxy.http.sse import write_events
from scout_proxy.native.answer import check_list, check_texts
from scout_proxy.native.errors import native_error_event
from scout_proxy.native.openapi import INFO, NATIVE_BODY, STREAM, TOKENS, WHOLE_OR_STREAM
from scout_proxy.native.request import parse_native_request
from scout_proxy.observation.observed_generation import TEXT_COMPLETION
from scout_proxy.routes.forwarding import Asked, Forwarder, Outbound
from scout_proxy.upstreams.balancer import Balancer
from scout_proxy.upstreams.engine import Event, Forwarded, Generated, GenerationParameters

Json = dict[str, Any]

_ROOT = "/"
_STREAM = "/generate_stream"
_TOKENIZE = "/tokenize"
_MAX_COUNT_DIGITS = 10


def native_routes(balancer: Balancer, forwarder: Forwarder, *, keep_alive_s: float = KEEP_ALIVE_S) -> APIRouter:
    """Build the router.

    Args:
        keep_alive_s: Seconds of an engine's silence after which a stream's client is sent a comment.
    """
    router = APIRouter(tags=["native"])

    def stream(asked: Asked, path: str, fields: Json) -> Response:
        async def produce(sink: EventSink) -> None:
            tokens = _Tokens()

            async def pass_on(events: list[Event]) -> None:
                tokens.see(events)
                await sink.send(write_events([event.payload for event in events]))

            async with forwarder.in_time(asked):
                await forwarder.stream(asked, _outbound(asked, path, fields), pass_on, tokens.generated)

        return EventAnswer(produce, write_error=native_error_event, keep_alive_s=keep_alive_s)

    @router.post(
        _ROOT, responses=WHOLE_OR_STREAM, openapi_extra=NATIVE_BODY, response_class=Response, summary="TGI: generate"
    )
    async def generate(request: Request) -> Response:
        asked = await forwarder.read(request)
        fields = parse_native_request(asked.body)
        if fields.get("stream"):
            return stream(asked, _ROOT, fields)
        work = forwarder.whole(asked, _outbound(asked, _ROOT, fields), _read_whole)
        return _answer(await forwarder.until_answered(request, asked, work))

    @router.post(
        _STREAM, responses=STREAM, openapi_extra=NATIVE_BODY, response_class=Response, summary="TGI: generate, streamed"
    )
    async def generate_stream(request: Request) -> Response:
        asked = await forwarder.read(request)
        return stream(asked, _STREAM, parse_native_request(asked.body))

    @router.post(
        _TOKENIZE, responses=TOKENS, openapi_extra=NATIVE_BODY, response_class=Response, summary="TGI: tokenize"
    )
    async def tokenize(request: Request) -> Response:
        asked = await forwarder.read(request)
        parse_native_request(asked.body)
        answer = await forwarder.until_answered(request, asked, forwarder.look_up(asked, _TOKENIZE, asked.body))
        check_list(answer.body)
        return _answer(answer)

    @router.get("/info", responses=INFO, response_class=Response, summary="TGI: the engine and its limits")
    async def info() -> Response:
        facts = balancer.limits()
        limits = {"max_input_tokens": facts.max_input_tokens, "max_total_tokens": facts.max_total_tokens}
        return Response(to_json({**facts.info, **limits}), media_type="application/json")

    return router


class _Tokens:
    """Counts the tokens of a stream: the generated ones by its events, those of the prompt where its last one does."""

    def __init__(self) -> None:
        self._prompt: int | None = None
        self._generated = 0
        self._reason: str | None = None

    def see(self, events: list[Event]) -> None:
        """Count events that came together."""
        self._generated += len(events)
        if isinstance(details := events[-1].fields.get("details"), dict):
            prompt, reason = details.get("input_length"), details.get("finish_reason")
            self._prompt = prompt if isinstance(prompt, int) else None
            self._reason = reason if isinstance(reason, str) else None

    def generated(self) -> Generated:
        """Return the counts."""
        return Generated(
            text="", prompt_tokens=self._prompt, generated_tokens=self._generated, finish_reason=self._reason
        )


def _outbound(asked: Asked, path: str, fields: Json) -> Outbound:
    return Outbound(
        path=path, body=asked.body, operation=TEXT_COMPLETION, parameters=_parameters(fields.get("parameters", {}))
    )


def _parameters(given: Json) -> GenerationParameters:
    """Return what spans show of parameters that the engine has not checked yet."""

    def number(name: str) -> float | None:
        value = given.get(name)
        return value if type(value) in {int, float} else None

    def whole(name: str) -> int | None:
        value = given.get(name)
        return value if type(value) is int else None

    return GenerationParameters(
        max_new_tokens=whole("max_new_tokens") or 0,
        do_sample=bool(given.get("do_sample")),
        temperature=number("temperature"),
        top_p=number("top_p"),
        top_k=whole("top_k"),
        seed=whole("seed"),
    )


def _read_whole(answer: Forwarded) -> tuple[Forwarded, Generated]:
    check_texts(answer.body)
    prompt, generated = _count(answer.headers, "x-prompt-tokens"), _count(answer.headers, "x-generated-tokens")
    return answer, Generated(text="", prompt_tokens=prompt, generated_tokens=generated)


def _answer(answer: Forwarded) -> Response:
    return Response(answer.body, headers=_own(answer.headers), media_type="application/json")


def _own(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers in which the engine tells of its work; those of its connection are its own.

    RFC 9110 §7.6.1 (what `Connection` names), and what would tell nginx in front of us to send something else.
    """
    named = {name.lower(): value for name, value in headers.items()}
    dropped = {"x-request-id", *(name.strip().lower() for name in named.get("connection", "").split(","))}
    return {
        name: value
        for name, value in named.items()
        if name.startswith("x-") and not name.startswith("x-accel-") and name not in dropped
    }


def _count(headers: Mapping[str, str], name: str) -> int | None:
    value = headers.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) <= _MAX_COUNT_DIGITS else None
