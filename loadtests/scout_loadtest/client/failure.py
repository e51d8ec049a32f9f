"""Why a request failed: its status or its exception as one of the kinds that are counted."""

import errno
import socket
import ssl
from http import HTTPStatus

from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError

from scout_loadtest.record import ErrorKind

_NO_WAY_THERE = {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL}
_NO_FILE_LEFT = {errno.EMFILE, errno.ENFILE}


class ExpiredError(Exception):
    """The whole request took longer than it may."""


class RequestError(Exception):
    """A request failed in a way that the answer itself shows."""

    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


# Whatever can come from a connection that is in trouble; anything else is a bug of ours.
TROUBLES = (ExpiredError, RequestError, OSError, HTTPParseError)


def kind_of_status(status: int) -> ErrorKind:
    """Return the kind of a status that is not 200."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ErrorKind.OVERLOADED
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return ErrorKind.NOT_READY
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ErrorKind.SERVER
    return ErrorKind.CLIENT if status >= HTTPStatus.MULTIPLE_CHOICES else ErrorKind.MALFORMED


def describe(trouble: Exception, *, has_begun: bool, is_streamed: bool) -> tuple[ErrorKind, str]:
    """Return the kind and the words for one of `TROUBLES`.

    Args:
        has_begun: The answer's status had come.
    """
    if isinstance(trouble, RequestError):
        return trouble.kind, str(trouble)
    if isinstance(trouble, (ExpiredError, TimeoutError)):
        return ErrorKind.TIMEOUT, str(trouble) or "nothing came in time"
    if has_begun:
        return (ErrorKind.CUT_OFF if is_streamed else ErrorKind.BROKEN), _words(trouble)
    return _without_an_answer(trouble)


def _without_an_answer(trouble: Exception) -> tuple[ErrorKind, str]:
    if isinstance(trouble, HTTPParseError) and not isinstance(trouble, HTTPConnectionClosed):
        return ErrorKind.MALFORMED, f"not HTTP: {trouble}"
    if isinstance(trouble, socket.gaierror):
        return ErrorKind.REFUSED, f"the name cannot be resolved: {trouble.strerror}"
    if isinstance(trouble, ssl.SSLError):
        return ErrorKind.REFUSED, f"TLS: {trouble.reason or trouble}"
    number = trouble.errno if isinstance(trouble, OSError) else None
    if number in _NO_FILE_LEFT:
        return ErrorKind.NOT_SENT, "no file was left for a connection"
    return (ErrorKind.REFUSED if number in _NO_WAY_THERE else ErrorKind.BROKEN), _words(trouble)


def _words(trouble: Exception) -> str:
    said = trouble.strerror if isinstance(trouble, OSError) else None
    return said or str(trouble) or type(trouble).__name__
