"""Errors as the OpenAI API tells them: `{"error": {"message", "type", "param", "code"}}`. Pure.

ProxyError
  InvalidRequestError
    OpenAiRequestError     400
  ModelNotFoundError       404
"""

from http import HTTPStatus

from pydantic_core import to_json

from scout_proxy.errors import InvalidRequestError, NoRoomError, ProxyError
from scout_proxy.http.sse import write_event

_INVALID = "invalid_request_error"
_SERVER = "server_error"
# `type` and `code`, as the OpenAI API has them for these statuses.
_KINDS: dict[int, tuple[str, str | None]] = {
    HTTPStatus.UNAUTHORIZED: (_INVALID, "invalid_api_key"),
    HTTPStatus.REQUEST_TIMEOUT: (_INVALID, "request_timeout"),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (_INVALID, "request_too_large"),
    HTTPStatus.TOO_MANY_REQUESTS: ("requests", "rate_limit_exceeded"),
    HTTPStatus.SERVICE_UNAVAILABLE: (_SERVER, "model_not_loaded"),
    HTTPStatus.GATEWAY_TIMEOUT: (_SERVER, "deadline_exceeded"),
}


class OpenAiRequestError(InvalidRequestError):
    """A request to an OpenAI route that cannot be served; its words are the OpenAI API's.

    Args:
        param: Which part of the request it is about, such as `messages[0].role`.
        code: Such as `unsupported_parameter`.
    """

    status = 400

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(
            [{"type": code or "value_error", "loc": ["body", *([param] if param else [])], "msg": message}]
        )
        self.param = param
        self.code = code


class ModelNotFoundError(ProxyError):
    """The request is for a model that is not served here."""

    status = 404

    def __init__(self, model: str, served: str) -> None:
        super().__init__(f"The model {model!r} does not exist; the one that is served here is {served!r}")


def openai_status(error: ProxyError) -> int:
    """Return the status that the OpenAI API has for an error: it knows no 422."""
    return HTTPStatus.BAD_REQUEST if error.status == HTTPStatus.UNPROCESSABLE_ENTITY else error.status


def openai_body(error: ProxyError) -> bytes:
    """Return the body of an error's answer."""
    fallback = _SERVER if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR else _INVALID
    kind, code = _KINDS.get(error.status, (fallback, None))
    param = None
    match error:
        case OpenAiRequestError():
            param, code = error.param, error.code
        case NoRoomError():
            code = "context_length_exceeded"
        case ModelNotFoundError():
            param, code = "model", "model_not_found"
    return to_json({"error": {"message": error.message, "type": kind, "param": param, "code": code}})


def openai_error_event(error: ProxyError) -> bytes:
    """Return the event that ends a stream."""
    return write_event(openai_body(error))
