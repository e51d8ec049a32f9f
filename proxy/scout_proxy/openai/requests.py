"""The bodies of the OpenAI routes, as models: what is accepted, and what /openapi.json declares."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError, from_json

from scout_proxy.openai.errors import OpenAiRequestError

_INT64 = 2**63
_INT32_MAX = 2**31 - 1
_MAX_PARAM_CHARS = 100
# Far above what there is; it takes long to say of a hundred thousand that they are unknown.
_MAX_FIELDS = 1_000
# What legacy completions generate where their request does not say (OpenAI API reference, `max_tokens`).
_COMPLETION_TOKENS = 16
# Of these only the value that asks for nothing can be honoured.
_UNSUPPORTED: Mapping[str, tuple[object, ...]] = {
    "audio": (),
    "best_of": (1,),
    "echo": (False,),
    "function_call": (),
    "functions": ([],),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "reasoning_effort": ("none",),
    "suffix": ("",),
    "verbosity": ("medium",),
    "web_search_options": (),
}
# Of no influence on the answer here.
_IGNORED = frozenset(
    {
        "metadata",
        "parallel_tool_calls",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
    }
)

# What clients send when they mean whatever is served: TGI's word, and that of huggingface_hub's InferenceClient.
ANY_MODEL = ("tgi", "dummy")


def _whole(value: object) -> object:
    """JSON has one type of numbers: 512.0 is 512."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Count = Annotated[int, Field(ge=1, le=_INT32_MAX), BeforeValidator(_whole)]
Seed = Annotated[int, Field(ge=-_INT64, lt=_INT64), BeforeValidator(_whole)]
Alternatives = Annotated[int, Field(ge=0, le=20), BeforeValidator(_whole)]
Text = Annotated[str, Field(min_length=1)]
Penalty = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]


# Lists end at their first wrong item (`fail_fast`): what is said of each of a hundred thousand keeps everybody waiting.


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class TextPart(_Part):
    """Text of a message."""

    type: Literal["text"]
    text: str


class ImageUrl(_Part):
    """An image, in its URL: the engine would fetch any other address from inside its own network."""

    url: str = Field(pattern="^data:")
    detail: str | None = None


class ImagePart(_Part):
    """An image in a message, for a model that sees."""

    type: Literal["image_url"]
    image_url: ImageUrl


class FunctionCall(_Part):
    """A call that the model has made; its arguments are JSON."""

    name: str
    arguments: str


class ToolCall(_Part):
    """A tool call in a message of the assistant."""

    id: str
    type: Literal["function"]
    function: FunctionCall


class ChatMessage(_Part):
    """One message; `developer` is another word for `system`."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: (
        str
        | Annotated[list[Annotated[TextPart | ImagePart, Field(discriminator="type")]], Field(fail_fast=True)]
        | None
    ) = None
    name: str | None = None
    tool_calls: Annotated[list[ToolCall], Field(fail_fast=True)] | None = None
    tool_call_id: str | None = None


class Function(_Part):
    """A function that the model may call; its parameters are a JSON Schema."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)


class Tool(_Part):
    """A tool that the model may call."""

    type: Literal["function"]
    function: Function


class FunctionName(_Part):
    """A function by its name."""

    name: str


class ToolChoice(_Part):
    """The tool that the model has to call."""

    type: Literal["function"] = "function"
    function: FunctionName


class PlainFormat(_Part):
    """No constraint."""

    type: Literal["text"]


class JsonSchema(_Part):
    """A schema with its name."""

    name: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")


class SchemaFormat(_Part):
    """JSON that matches a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


class Grammar(_Part):
    """TGI's own way to say the same: `value` is a JSON Schema, or a regular expression."""

    type: Literal["json", "json_object", "regex"]
    value: dict[str, Any] | str

    @model_validator(mode="before")
    @classmethod
    def _check_schema(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("type") == "json_object" and "value" not in given:
            raise PydanticCustomError(
                "unsupported", "The engine has no JSON without a schema; use `json_schema` in `response_format`"
            )
        return given


class StreamOptions(_Part):
    """Of a stream: whether it ends with the tokens' counts."""

    include_usage: bool | None = None


def _format_tag(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return {"text": "text", "json_schema": "json_schema"}.get(str(kind), "grammar")


ResponseFormat = Annotated[
    Annotated[PlainFormat, Tag("text")]
    | Annotated[SchemaFormat, Tag("json_schema")]
    | Annotated[Grammar, Tag("grammar")],
    Discriminator(_format_tag),
]


def _describe_leniency(schema: dict[str, Any]) -> None:
    """Let `null` stand for every default, and name what is passed over."""
    properties, required = schema["properties"], schema.get("required", ())
    for name, property_ in properties.items():
        if name not in required:
            properties[name] = {"anyOf": [property_, {"type": "null"}]}
    properties |= {name: {"description": "Accepted, and of no influence on the answer."} for name in sorted(_IGNORED)}


class _Sampled(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", json_schema_extra=_describe_leniency)

    model: str = Field(default="tgi", description="The public name, the checkpoint's, or `tgi`.")
    frequency_penalty: Penalty = 0
    presence_penalty: Penalty = 0
    max_tokens: Count | None = None
    n: Count = 1
    seed: Seed | None = None
    stop: Text | Annotated[list[Text], Field(fail_fast=True, max_length=4)] = Field(default_factory=list)
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: float = Field(default=1, ge=0, le=2, allow_inf_nan=False)
    top_p: float = Field(default=1, ge=0, le=1, allow_inf_nan=False)

    @property
    def stops(self) -> list[str]:
        """The stop strings."""
        return [self.stop] if isinstance(self.stop, str) else self.stop

    @property
    def include_usage(self) -> bool:
        """Whether the stream ends with counts."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)


class ChatRequest(_Sampled):
    """Body of `POST /v1/chat/completions`. `null` stands for a field's default."""

    messages: Annotated[list[ChatMessage], Field(fail_fast=True)] = Field(min_length=1)
    max_completion_tokens: Count | None = None
    logprobs: bool = False
    top_logprobs: Alternatives = 0
    response_format: ResponseFormat | None = None
    tools: Annotated[list[Tool], Field(fail_fast=True)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None


class CompletionRequest(_Sampled):
    """Body of `POST /v1/completions`, which is never put into a chat format. `null` stands for a field's default."""

    prompt: Text | Annotated[list[Text], Field(fail_fast=True, min_length=1)]
    max_tokens: Count = _COMPLETION_TOKENS

    @property
    def prompts(self) -> list[str]:
        """The prompts."""
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt


def parse_chat_request(body: bytes) -> ChatRequest:
    """Read the body of `POST /v1/chat/completions`.

    Raises:
        OpenAiRequestError: It is not one, or asks for what no engine here has.
    """
    fields = _fields(body, ChatRequest)
    try:
        return ChatRequest.model_validate(fields)
    except ValidationError as exc:
        raise _refusal(exc, fields) from exc


def parse_completion_request(body: bytes) -> CompletionRequest:
    """Read the body of `POST /v1/completions`; errors as `parse_chat_request`."""
    fields = _fields(body, CompletionRequest)
    if fields.pop("logprobs", None) is not None:
        raise _unsupported("logprobs")
    try:
        return CompletionRequest.model_validate(fields)
    except ValidationError as exc:
        raise _refusal(exc, fields) from exc


def _fields(body: bytes, model: type[BaseModel]) -> dict[str, Any]:
    try:
        given = from_json(body, allow_inf_nan=False)
    except ValueError as exc:
        raise OpenAiRequestError(f"The body is not JSON: {exc}", code="invalid_json") from exc
    if not isinstance(given, dict):
        raise OpenAiRequestError("The body should be a JSON object", code="invalid_type")
    if len(given) > _MAX_FIELDS:
        raise OpenAiRequestError(f"The body has {len(given)} parameters", code="unknown_parameter")
    return dict(_supported(given, model))


def _supported(given: dict[str, Any], model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    """Yield what is asked for; what cannot be honoured is refused, for it would change the answer."""
    for name, value in given.items():
        if value is None or name in _IGNORED:
            continue
        if name in _UNSUPPORTED and name not in model.model_fields:
            if value not in _UNSUPPORTED[name]:
                raise _unsupported(name)
            continue
        yield name, value


def _unsupported(name: str) -> OpenAiRequestError:
    return OpenAiRequestError(f"{name!r} is not supported here", param=name, code="unsupported_parameter")


def _refusal(exc: ValidationError, given: dict[str, Any]) -> OpenAiRequestError:
    errors = exc.errors(include_url=False, include_context=False, include_input=False)
    # Of a choice between forms each has its errors; the one that went furthest is the one that was meant.
    error = max(errors, key=lambda one: (len(one["loc"]), not one["type"].endswith("_type")))
    param = _param(error, given)
    match error["type"]:
        case "extra_forbidden":
            return OpenAiRequestError(f"Unknown parameter: {param!r}", param=param, code="unknown_parameter")
        case "missing":
            message = f"Missing required parameter: {param!r}"
            return OpenAiRequestError(message, param=param, code="missing_required_parameter")
        case "unsupported":
            return OpenAiRequestError(error["msg"], param=param, code="unsupported_value")
        case kind:
            code = "invalid_type" if kind.endswith("_type") else "invalid_value"
            where = f"Invalid value for {param!r}: " if param else ""
            return OpenAiRequestError(f"{where}{error['msg']}", param=param, code=code)


def _param(error: ErrorDetails, given: Any) -> str | None:
    """Write a place as the OpenAI API does, without the names that pydantic gives to the forms of a choice."""
    path, here = "", given
    for part in error["loc"]:
        if isinstance(here, list) and isinstance(part, int) and part < len(here):
            path, here = f"{path}[{part}]", here[part]
        elif isinstance(here, dict) and part in here:
            path, here = f"{path}.{part}", here[part]
    if error["type"] == "missing":
        path += f".{error['loc'][-1]}"
    return path.removeprefix(".")[:_MAX_PARAM_CHARS] or None
