"""From an OpenAI request to the bodies of the engine's own /v1 routes, one for each sequence. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_json

from scout_proxy.generate.sampling import engine_temperature, engine_top_p, following_seed
from scout_proxy.openai.requests import (
    ChatMessage,
    ChatRequest,
    CompletionRequest,
    Grammar,
    ImagePart,
    SchemaFormat,
    TextPart,
)
from scout_proxy.prompt.control_tokens import ControlTokens
from scout_proxy.upstreams.engine import GenerationParameters

# TGI takes any other name for an adapter of the model.
_ENGINE_MODEL = "tgi"
_MAX_TOKENS = "max_tokens"


@dataclass(frozen=True, kw_only=True)
class SequenceBody:
    """What the engine is asked for one sequence.

    Args:
        indexes: Of the choices that it is; greedy sequences are all the same, and computed once.
        prompt: Of a completion.
    """

    indexes: range
    fields: dict[str, Any]
    prompt: str | None = None

    @property
    def body(self) -> bytes:
        """The body as it goes to the engine."""
        return to_json(self.fields)

    @property
    def parameters(self) -> GenerationParameters:
        """What spans show of it."""
        temperature = self.fields["temperature"]
        return GenerationParameters(
            max_new_tokens=self.max_tokens or 0,
            do_sample=temperature > 0,
            temperature=temperature,
            top_p=self.fields.get("top_p"),
            seed=self.fields.get("seed"),
        )

    @property
    def max_tokens(self) -> int | None:
        """The most tokens that it may have."""
        return self.fields.get(_MAX_TOKENS)

    def with_max_tokens(self, max_tokens: int | None) -> "SequenceBody":
        """Return the same with another bound, or with none but the engine's context."""
        fields = {name: value for name, value in self.fields.items() if name != _MAX_TOKENS}
        bound = {} if max_tokens is None else {_MAX_TOKENS: max_tokens}
        return SequenceBody(indexes=self.indexes, fields=fields | bound, prompt=self.prompt)


def chat_bodies(request: ChatRequest, control: ControlTokens, seeds: Sequence[int]) -> list[SequenceBody]:
    """Return the bodies of a chat.

    Texts in it lose the meaning that the model's control tokens would give them: they cannot begin another message.

    Args:
        seeds: One for each choice, where the request has none of its own.
    """
    fields = {
        **_sampling(request, request.max_completion_tokens or request.max_tokens),
        "messages": [_message(message, control) for message in request.messages],
    }
    if request.logprobs:
        fields |= {"logprobs": True} | ({"top_logprobs": request.top_logprobs} if request.top_logprobs else {})
    if request.tools:
        fields["tools"] = _broken_up([tool.model_dump(exclude_none=True) for tool in request.tools], control)
        if request.tool_choice is not None:
            fields["tool_choice"] = _plain(request.tool_choice)
    match request.response_format:
        case SchemaFormat(json_schema=named):
            fields["response_format"] = {"type": "json", "value": named.schema_}
        case Grammar(type=kind, value=value):
            fields["response_format"] = {"type": "regex" if kind == "regex" else "json", "value": value}
    return [
        SequenceBody(indexes=indexes, fields=fields | seed)
        for indexes, seed in _sequences(request, range(request.n), seeds)
    ]


def completion_bodies(request: CompletionRequest, seeds: Sequence[int]) -> list[SequenceBody]:
    """Return the bodies of completions: those of the first prompt, then those of the second, and so on.

    Args:
        seeds: One for each choice of a prompt, where the request has none of its own.
    """
    fields = _sampling(request, request.max_tokens)
    return [
        SequenceBody(indexes=indexes, fields=fields | {"prompt": prompt} | seed, prompt=prompt)
        for place, prompt in enumerate(request.prompts)
        for indexes, seed in _sequences(request, range(place * request.n, (place + 1) * request.n), seeds)
    ]


def _sequences(
    request: ChatRequest | CompletionRequest, indexes: range, seeds: Sequence[int]
) -> list[tuple[range, dict[str, int]]]:
    if request.temperature == 0:
        return [(indexes, {})]
    drawn = seeds if request.seed is None else [following_seed(request.seed, place) for place in range(request.n)]
    return [(range(index, index + 1), {"seed": seed}) for index, seed in zip(indexes, drawn, strict=True)]


def _sampling(request: ChatRequest | CompletionRequest, max_tokens: int | None) -> dict[str, Any]:
    """Leave out what is at its neutral value: TGI makes a heavy penalty of a `presence_penalty` of 0."""
    fields: dict[str, Any] = {
        "model": _ENGINE_MODEL,
        "stream": request.stream,
        "temperature": engine_temperature(request.temperature) if request.temperature else 0,
        "top_p": engine_top_p(request.top_p),
        "frequency_penalty": request.frequency_penalty or None,
        "presence_penalty": request.presence_penalty or None,
        _MAX_TOKENS: max_tokens,
        "stop": request.stops or None,
        "stream_options": {"include_usage": True} if request.stream else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _message(message: ChatMessage, control: ControlTokens) -> Any:
    fields = message.model_dump(exclude_none=True, exclude={"role", "content"})
    if message.content is not None or not message.tool_calls:
        fields["content"] = _content(message.content or "")
    role = "system" if message.role == "developer" else message.role
    return {"role": role, **_broken_up(fields, control)}


def _content(content: str | list[TextPart | ImagePart]) -> Any:
    """Put texts that follow each other together, as the engine will: it reads what they are together."""
    if isinstance(content, str):
        return content
    parts: list[Any] = []
    for is_text, several in groupby(content, lambda part: isinstance(part, TextPart)):
        if is_text:
            parts.append({"type": "text", "text": "".join(part.text for part in several if isinstance(part, TextPart))})
        else:
            parts += [part.model_dump(exclude_none=True) for part in several]
    return parts[0]["text"] if len(parts) == 1 and "text" in parts[0] else parts


def _broken_up(value: Any, control: ControlTokens) -> Any:
    """Break up the control tokens in every text of a JSON value, the names in it too."""
    match value:
        case str():
            return control.break_up(value)
        case list():
            return [_broken_up(one, control) for one in value]
        case dict():
            return {control.break_up(name): _broken_up(one, control) for name, one in value.items()}
    return value


def _plain(value: BaseModel | str) -> Any:
    return value if isinstance(value, str) else value.model_dump(exclude_none=True)
