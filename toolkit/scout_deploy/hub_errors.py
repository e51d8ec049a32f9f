"""What a failure of HTTP or of the disk means to somebody who wants weights."""

import http.client
import re
from pathlib import Path

import requests

from scout_deploy.errors import WeightsError
from scout_deploy.weights import failures

_SHOWN_CHARACTERS = 300
_ERRNO = re.compile(r"\[Errno -?\d+\] ")
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _RANGE_NOT_SATISFIABLE, _TOO_MANY, _SERVER_ERROR = 401, 403, 404, 416, 429, 500
_NOT_ADDRESSES = (
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
)


class Explainer:
    """Explains what huggingface_hub passes on as it came.

    Args:
        token: Empty where there is none; never shown.
        folder: The cache's.
    """

    def __init__(self, *, endpoint: str, token: str, folder: Path) -> None:
        self._endpoint = endpoint
        self._token = token
        self._folder = folder

    def explain(self, error: BaseException, model_id: str) -> WeightsError:
        """Return what to tell the user."""
        if isinstance(error, requests.HTTPError) and error.response is not None:
            return self._explain_status(error, error.response, model_id)
        if isinstance(error, requests.RequestException):
            return self._explain_connection(error)
        if isinstance(error, OSError) and error.errno is not None:
            return failures.disk(error, self._folder)
        if isinstance(error, OSError):
            # "Consistency check failed": the answer ended early, without an error on the connection.
            return failures.unreachable(self._endpoint, "a file came with another size than announced")
        return failures.not_a_hub(self._endpoint, self._redacted(str(error)))

    def _explain_connection(self, error: requests.RequestException) -> WeightsError:
        if isinstance(error, requests.JSONDecodeError):
            return failures.not_a_hub(self._endpoint, "its answer is not JSON")
        if isinstance(error, _NOT_ADDRESSES):
            return failures.not_a_hub(self._endpoint, "this is not an address")
        return failures.unreachable(self._endpoint, reason(error))

    def _explain_status(self, error: requests.HTTPError, response: requests.Response, model_id: str) -> WeightsError:
        status = response.status_code
        is_elsewhere = not response.url.startswith(f"{self._endpoint}/")
        if status == _UNAUTHORIZED and not is_elsewhere:
            return failures.wrong_token() if self._token else failures.unknown_repository(model_id, has_token=False)
        if status == _TOO_MANY:
            return failures.rate_limited(self._endpoint, has_token=bool(self._token))
        if is_elsewhere or status >= _SERVER_ERROR or status == _RANGE_NOT_SATISFIABLE:
            # The storage that the hub sends to takes an address for some minutes only; the hub gives a new one.
            where = "its storage" if is_elsewhere else "it"
            return failures.unreachable(self._endpoint, f"{where} answers with status {status}")
        if status == _FORBIDDEN and self._token:
            return failures.forbidden(model_id)
        if status == _NOT_FOUND:
            # A hub says with an answer of its own kind what it has not.
            return failures.not_a_hub(self._endpoint, "it answers with status 404")
        said = getattr(error, "server_message", None) or response.reason or ""
        return failures.refused(self._endpoint, status, self._redacted(said))

    def _redacted(self, text: str) -> str:
        line = " ".join(text.split())
        return (line.replace(self._token, "***") if self._token else line)[:_SHOWN_CHARACTERS]


def reason(error: BaseException) -> str:
    """Return the plain cause of a connection that failed, such as `Connection refused`.

    The texts around the innermost one repeat the whole address, query and all.
    """
    inner = error
    while (deeper := _deeper(inner)) is not None:
        inner = deeper
    if isinstance(inner, http.client.IncompleteRead):
        return "the answer broke off"
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    # urllib3 writes the system's own words behind its own: "...: [Errno 111] Connection refused".
    return _ERRNO.sub("", str(inner).rpartition(": ")[2]) or type(inner).__name__


def _deeper(error: BaseException) -> BaseException | None:
    cause = getattr(error, "reason", None)
    if isinstance(cause, BaseException):
        return cause
    return next((argument for argument in error.args if isinstance(argument, BaseException)), None)
