"""Errors as TGI's native routes tell them: `{"error", "error_type"}` (TGI, router/src/infer/mod.rs). Pure."""

from http import HTTPStatus

from pydantic_core import to_json

from scout_proxy.errors import AnswerCutOffError, GenerationFailedError, ProxyError
from scout_proxy.http.sse import write_event

_VALIDATION = "validation"
# Its clients know `validation`, `overloaded`, `generation` and `incomplete_generation`; of others they take the status.
_TYPES: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: _VALIDATION,
    HTTPStatus.REQUEST_TIMEOUT: "timeout",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: _VALIDATION,
    HTTPStatus.UNPROCESSABLE_ENTITY: _VALIDATION,
    HTTPStatus.TOO_MANY_REQUESTS: "overloaded",
    HTTPStatus.SERVICE_UNAVAILABLE: "healthcheck",
    HTTPStatus.GATEWAY_TIMEOUT: "timeout",
}


def native_status(error: ProxyError) -> int:
    """Return the status that TGI has for an error."""
    if isinstance(error, GenerationFailedError) and not isinstance(error, AnswerCutOffError):
        return HTTPStatus.FAILED_DEPENDENCY
    return error.status


def native_body(error: ProxyError) -> bytes:
    """Return the body of an error's answer."""
    match error:
        case AnswerCutOffError():
            kind, message = "incomplete_generation", error.reason
        case GenerationFailedError():
            kind, message = "generation", error.reason
        case _:
            kind, message = _TYPES.get(error.status, "unknown"), error.message
    return to_json({"error": message, "error_type": kind})


def native_error_event(error: ProxyError) -> bytes:
    """Return the event that ends a stream."""
    return write_event(native_body(error))
