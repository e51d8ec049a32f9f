"""What the OpenAPI document says of the OpenAI routes."""

from typing import Any

from pydantic import BaseModel

from scout_proxy.openai.requests import ChatRequest, CompletionRequest
from scout_proxy.routes.openapi import OK_HEADERS, Responses, event_content, refusals, request_body


class OpenAiError(BaseModel):
    """What went wrong, in the OpenAI API's words."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAiProblem(BaseModel):
    """Body of every error of the OpenAI routes."""

    error: OpenAiError


class Usage(BaseModel):
    """Tokens of the prompts, each counted once, and of all choices."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatChoice(BaseModel):
    """One answer of a chat."""

    index: int
    message: dict[str, Any]
    logprobs: dict[str, Any] | None
    finish_reason: str


class _Answer(BaseModel):
    id: str
    object: str
    created: int
    model: str
    system_fingerprint: str
    usage: Usage


class ChatAnswer(_Answer):
    """Body of a 200 of `POST /v1/chat/completions`."""

    choices: list[ChatChoice]


class TextChoice(BaseModel):
    """One completion."""

    index: int
    text: str
    logprobs: None
    finish_reason: str


class CompletionAnswer(_Answer):
    """Body of a 200 of `POST /v1/completions`."""

    choices: list[TextChoice]


class Model(BaseModel):
    """A model that is served."""

    id: str
    object: str
    created: int
    owned_by: str


class Models(BaseModel):
    """All of them: one."""

    object: str
    data: list[Model]


CHAT_BODY = request_body(ChatRequest)
COMPLETION_BODY = request_body(CompletionRequest)

_EVENTS = event_content(
    "Chunks in OpenAI's form, then `[DONE]`. What fails after the first chunk is an event with `error`, and the end."
)
_REFUSALS = refusals(OpenAiProblem, 400, 401, 404, 408, 413, 415, 429, 500, 503, 504)


def _answers(model: type[BaseModel], content: dict[str, Any], *statuses: int) -> Responses:
    return {
        200: {**OK_HEADERS[200], "model": model, "content": content},
        **{status: _REFUSALS[status] for status in statuses or _REFUSALS},
    }


CHATS: Responses = _answers(ChatAnswer, _EVENTS)
TEXTS: Responses = _answers(CompletionAnswer, _EVENTS)
MODELS: Responses = _answers(Models, {}, 401)
MODEL: Responses = _answers(Model, {}, 401, 404)
