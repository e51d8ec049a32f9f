"""Errors as answers, in the words of the family that their route belongs to; the same in front of FastAPI and in it."""

import logging

from scout_proxy.errors import ProxyError
from scout_proxy.http.outgoing import RawHeader
from scout_proxy.routes.error_shape import error_body, error_status, family_of

_log = logging.getLogger(__name__)

_LOGGED_FROM_STATUS = 500
_UNAVAILABLE = 503
_JSON: RawHeader = (b"content-type", b"application/json")


def raw_error(method: str, path: str, error: ProxyError) -> tuple[int, list[RawHeader], bytes]:
    """Return status, headers and body of an error's answer."""
    family = family_of(method, path)
    own = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in error.headers.items()]
    return error_status(error, family), [*own, _JSON], error_body(error, family)


def log_failure(error: ProxyError, *, request_id: str, path: str) -> None:
    """Log what is the service's fault as a warning, and what is its client's for whoever debugs."""
    level = logging.WARNING if error.status >= _LOGGED_FROM_STATUS and error.status != _UNAVAILABLE else logging.DEBUG
    if _log.isEnabledFor(level):
        event = {"request_id": request_id, "path": path, "status": error.status, "reason": error.log_reason}
        _log.log(level, "request failed", extra=event)


class DefectError(ProxyError):
    """A defect of the proxy; the log has its traceback."""

    status = _LOGGED_FROM_STATUS

    def __init__(self, request_id: str) -> None:
        cause = f"internal error of the proxy; its log has the cause at request {request_id}"
        super().__init__(f"Generation failed: {cause}")


def log_defect(*, request_id: str, path: str) -> None:
    """Log a defect with its traceback, which is being handled."""
    _log.exception("request met a defect of the proxy", extra={"request_id": request_id, "path": path})
