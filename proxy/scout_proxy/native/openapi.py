"""What the OpenAPI document says of the native routes."""

from typing import Any

from pydantic import BaseModel

from scout_proxy.native.request import NativeRequest
from scout_proxy.routes.openapi import OK_HEADERS, Responses, event_content, refusals, request_body


class NativeProblem(BaseModel):
    """Body of every error of the native routes."""

    error: str
    error_type: str


class NativeAnswer(BaseModel):
    """One generation; `details` where they are asked for."""

    generated_text: str
    details: dict[str, Any] | None = None


class NativeToken(BaseModel):
    """One token of a text, and where it lies in it."""

    id: int
    text: str
    start: int
    stop: int


NATIVE_BODY = request_body(NativeRequest)

_EVENTS = event_content(
    "One event for each token; the last one has `generated_text`. What fails after the first token is an event with "
    "`error` and `error_type`."
)
_REFUSALS = refusals(NativeProblem, 401, 408, 413, 415, 422, 424, 429, 500, 503, 504)


def _answer(content: dict[str, Any]) -> Responses:
    return {200: {**OK_HEADERS[200], "content": content}, **_REFUSALS}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


_MANY = {"type": "array", "items": NativeAnswer.model_json_schema(), "minItems": 1}

WHOLE_OR_STREAM: Responses = _answer({**_json(_MANY), **_EVENTS})
STREAM: Responses = _answer(_EVENTS)
TOKENS: Responses = _answer(_json({"type": "array", "items": NativeToken.model_json_schema()}))
INFO: Responses = {
    200: {
        **OK_HEADERS[200],
        "content": _json(
            {
                "type": "object",
                "description": "As the engine says it; its limits are the least of all engines that serve.",
                "required": ["max_input_tokens", "max_total_tokens"],
            }
        ),
    },
    401: _REFUSALS[401],
    503: _REFUSALS[503],
}
