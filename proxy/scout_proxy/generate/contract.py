"""The documented request and answers, as models: what is accepted, what is echoed, what /openapi.json declares."""

import difflib
import math
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from scout_proxy.errors import ErrorItem, InvalidRequestError

API_VERSION = "1.0.0"
_INT32_MAX = 2**31 - 1
_MAX_ERROR_ITEMS = 20
# Above, it takes long to say what is wrong, and everybody else waits meanwhile.
_MAX_COUNTED_ERRORS = 1_000
_MAX_ECHO_CHARS = 100
# Names that other APIs use for our fields; spelling alone would not lead from one to the other.
_OTHER_NAMES = {
    "n": "num_return_sequences",
    "num_sequences": "num_return_sequences",
    "best_of": "num_return_sequences",
    "max_tokens": "max_length",
    "max_new_tokens": "max_length",
    "max_completion_tokens": "max_length",
    "inputs": "prompt",
    "stop_sequences": "stop",
    "messages": "prompt",
}


def _default_for_null(default: float | None, *, whole: bool = False) -> Callable[[object], object]:
    """Make `null` the field's default and an integral float an integer where the field is one."""
    is_whole = whole or isinstance(default, int)

    def normalise(value: object) -> object:
        if value is None:
            return default
        if is_whole and isinstance(value, float) and value.is_integer():
            return int(value)
        return value

    return normalise


def _at_most_allowed(value: int, info: ValidationInfo) -> int:
    limit = info.context["max_num_return_sequences"] if info.context else _INT32_MAX
    if value > limit:
        raise PydanticCustomError(
            "less_than_equal", "Input should be less than or equal to {le}, the limit of this deployment", {"le": limit}
        )
    return value


def _schema(kind: str, **limits: float) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [{"type": kind, **limits}, {"type": "null"}]})


_STOP_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "array", "items": {"type": "string", "minLength": 1}}, {"type": "null"}]
}


class GenerateRequest(BaseModel):
    """Body of `POST /generate`. Types are strict; `null` stands for a field's default."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        json_schema_extra={
            "example": {
                "prompt": "用 Python 编写一个计算斐波那契数列的函数",
                "max_length": 512,
                "temperature": 0.7,
                "top_p": 0.9,
                "top_k": 50,
                "num_return_sequences": 1,
            }
        },
    )

    prompt: Annotated[str, Field(min_length=1, description="The text to answer. Plain, or ChatML.")]
    max_length: Annotated[
        int,
        Field(ge=1, le=_INT32_MAX),
        BeforeValidator(_default_for_null(512)),
        _schema("integer", minimum=1, maximum=_INT32_MAX),
    ] = Field(
        default=512,
        description="The most tokens to generate, the prompt not counted; cut to what is left of the context.",
    )
    temperature: Annotated[
        float,
        Field(ge=0, allow_inf_nan=False),
        BeforeValidator(_default_for_null(0.7)),
        _schema("number", minimum=0),
    ] = Field(default=0.7, description="Randomness; 0 always takes the likeliest token.")
    top_p: Annotated[
        float,
        Field(gt=0, le=1, allow_inf_nan=False),
        BeforeValidator(_default_for_null(0.9)),
        _schema("number", exclusiveMinimum=0, maximum=1),
    ] = Field(default=0.9, description="Nucleus sampling; 1 is off.")
    top_k: Annotated[
        int,
        Field(ge=0, le=_INT32_MAX),
        BeforeValidator(_default_for_null(50)),
        _schema("integer", minimum=0, maximum=_INT32_MAX),
    ] = Field(default=50, description="Sample from this many likeliest tokens; 0 is off.")
    num_return_sequences: Annotated[
        int,
        Field(ge=1, le=_INT32_MAX),
        AfterValidator(_at_most_allowed),
        BeforeValidator(_default_for_null(1)),
        _schema("integer", minimum=1, maximum=_INT32_MAX),
    ] = Field(default=1, description="How many texts to return.")
    seed: Annotated[
        int | None,
        Field(ge=0, le=_INT32_MAX),
        BeforeValidator(_default_for_null(None, whole=True)),
        _schema("integer", minimum=0, maximum=_INT32_MAX),
    ] = Field(default=None, description="The same seed draws the same texts again; each sequence has one of its own.")
    # It ends at its first wrong item: what is said of each of a hundred thousand keeps everybody waiting.
    stop: Annotated[
        Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(fail_fast=True)] | None,
        WithJsonSchema(_STOP_SCHEMA),
    ] = Field(default=None, description="The text ends before the first of these strings.")
    repetition_penalty: Annotated[
        float | None,
        Field(gt=0, allow_inf_nan=False),
        _schema("number", exclusiveMinimum=0),
    ] = Field(default=None, description="Above 1 makes what was said before less likely; 1 is off.")
    stream: Annotated[bool | None, _schema("boolean")] = Field(
        default=None, description="Answer with server-sent events, piece by piece."
    )

    def echo(self) -> dict[str, object]:
        """Return `parameters` of the answer, without `stream`: the documented fields, and the others that were sent."""
        echo: dict[str, object] = {
            "prompt": self.prompt,
            "max_length": self.max_length,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "num_return_sequences": self.num_return_sequences,
        }
        if self.seed is not None:
            echo["seed"] = self.seed
        if self.stop is not None:
            echo["stop"] = self.stop
        if self.repetition_penalty is not None:
            echo["repetition_penalty"] = self.repetition_penalty
        return echo


class Parameters(BaseModel):
    """Echo of the request, defaults filled in; what is no documented field is there only where it was sent."""

    prompt: str
    max_length: int
    temperature: float
    top_p: float
    top_k: int
    num_return_sequences: int
    seed: int | None = None
    stop: list[str] | None = None
    repetition_penalty: float | None = None
    stream: bool | None = None


class GenerateAnswer(BaseModel):
    """Body of a 200 of `POST /generate`."""

    generated_texts: list[str]
    parameters: Parameters


class Root(BaseModel):
    """Body of `GET /`."""

    name: str
    version: str
    status: Annotated[str, WithJsonSchema({"type": "string", "enum": ["starting", "active", "unavailable"]})]
    model: str


class Health(BaseModel):
    """Body of a 200 of `GET /health`."""

    status: Annotated[str, WithJsonSchema({"type": "string", "const": "healthy"})] = "healthy"


class Problem(BaseModel):
    """Body of every error but 422."""

    detail: str


class InvalidItem(BaseModel):
    """One reason why a request is refused; `input` only where it is short."""

    type: str
    loc: list[str | int]
    msg: str
    input: Any = None


class InvalidRequest(BaseModel):
    """Body of a 422."""

    detail: list[InvalidItem]


def parse_generate_request(body: bytes, *, max_num_return_sequences: int) -> GenerateRequest:
    """Read the body of `POST /generate`. Of a name that is given twice the last one counts, as in Python's json.

    Raises:
        InvalidRequestError: With an item for each reason, the first twenty of them.
    """
    try:
        return GenerateRequest.model_validate_json(body, context={"max_num_return_sequences": max_num_return_sequences})
    except ValidationError as exc:
        if exc.error_count() > _MAX_COUNTED_ERRORS:
            message = f"The body has {exc.error_count()} errors; it is no request to this API"
            raise InvalidRequestError.of("value_error", message) from exc
        found = exc.errors(include_url=False, include_context=False)
        raise InvalidRequestError([_item(error) for error in found[:_MAX_ERROR_ITEMS]]) from exc


def _item(error: ErrorDetails) -> ErrorItem:
    loc = [part[:_MAX_ECHO_CHARS] if isinstance(part, str) else part for part in error["loc"]]
    unknown = error["type"] == "extra_forbidden"
    item: ErrorItem = {
        "type": error["type"],
        "loc": ["body", *loc],
        "msg": _unknown_field(str(loc[-1])) if unknown else error["msg"] + _hint(error["msg"]),
    }
    if _is_short(error["input"]):
        item["input"] = error["input"]
    return item


def _hint(message: str) -> str:
    """Say what the JSON parser's words mean where they are not the user's."""
    if "hex escape" in message or "surrogate" in message:
        return " (a lone surrogate such as \\ud800 is not text)"
    return ""


def _unknown_field(name: str) -> str:
    known = list(GenerateRequest.model_fields)
    nearest = _OTHER_NAMES.get(name) or difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
    return f"Unknown field '{name}'; the nearest known one is '{nearest}' (known: {', '.join(known)})"


def _is_short(value: object) -> bool:
    match value:
        case str():
            return len(value) <= _MAX_ECHO_CHARS
        case float():
            return math.isfinite(value)
        case bool() | None:
            return True
        case int():
            return abs(value) <= 2**53
    return False
