"""text_generation's errors for every way in which an engine can say no, also where the library has none of its own."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic_core import from_json
from text_generation.errors import (
    GenerationError,
    IncompleteGenerationError,
    OverloadedError,
    ShardNotReadyError,
    ShardTimeoutError,
    UnknownError,
    ValidationError,
    parse_error,
)

MAX_ERROR_CHARS = 300

_OF_STATUS: Mapping[int, type[Exception]] = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ValidationError,
    HTTPStatus.UNPROCESSABLE_ENTITY: ValidationError,
    HTTPStatus.TOO_MANY_REQUESTS: OverloadedError,
    HTTPStatus.BAD_GATEWAY: ShardNotReadyError,
    HTTPStatus.SERVICE_UNAVAILABLE: ShardNotReadyError,
    HTTPStatus.GATEWAY_TIMEOUT: ShardTimeoutError,
}
# A stream's errors come with status 200; these are the types that the library does not know (TGI,
# router/src/infer/mod.rs and router/src/server.rs).
_OF_TYPE: Mapping[str, type[Exception]] = {
    "incomplete_generation_stream": IncompleteGenerationError,
    "template_error": ValidationError,
    "missing_template_variable": ValidationError,
    "tool_error": ValidationError,
    "batch size exceeded": ValidationError,
    "suffix not supported": ValidationError,
    "healthcheck": ShardNotReadyError,
}
# A /v1 stream gives no type and says 422 whatever the cause; how the message begins is all that tells causes apart.
_OF_BEGINNING: Mapping[str, type[Exception]] = {
    "Model is overloaded": OverloadedError,
    "Request failed during generation": GenerationError,
    "Incomplete generation": IncompleteGenerationError,
}


class UnreachableError(ShardNotReadyError):  # type: ignore[misc]  # text_generation ships no types
    """Nobody answered: refused, reset, or closed before an answer began."""


class TruncatedAnswerError(IncompleteGenerationError):  # type: ignore[misc]  # text_generation ships no types
    """The connection ended in the middle of the answer."""


def error_of_answer(status: int, payload: bytes) -> Exception:
    """Build the library's error of an answer, also of those that its own mapping stumbles over."""
    try:
        body = from_json(payload)
    except ValueError:
        body = None
    if isinstance(body, dict) and isinstance(body.get("error"), str):
        return _typed_error(status, body)
    text = payload[: 4 * MAX_ERROR_CHARS].decode(errors="replace").strip()[:MAX_ERROR_CHARS]
    return _plain_error(status, text or f"status {status} without a reason")


def error_of_event(event: Mapping[str, Any]) -> Exception | None:
    """Build the library's error of an event of a stream; None where the event is none."""
    error = event.get("error")
    if error is None:
        return None
    if isinstance(error, dict) and isinstance(message := error.get("message"), str):
        kinds = [kind for beginning, kind in _OF_BEGINNING.items() if message.startswith(beginning)]
        return (kinds or [ValidationError])[0](message)
    if isinstance(error, str):
        of_type = _OF_TYPE.get(str(event.get("error_type")))
        known: Exception = parse_error(HTTPStatus.OK, event) if of_type is None else of_type(error)
        return known
    unknown: Exception = UnknownError("the engine's stream has an error without a reason")
    return unknown


def _typed_error(status: int, body: dict[str, Any]) -> Exception:
    error: Exception = parse_error(status, body)
    return _plain_error(status, body["error"]) if isinstance(error, UnknownError) else error


def _plain_error(status: int, text: str) -> Exception:
    if status in _OF_STATUS:
        return _OF_STATUS[status](text)
    unknown: Exception = UnknownError(f"the engine answered {status}: {text}")
    return unknown
