"""The form of an error's answer: one table of errors, rendered in the words of the family that a route belongs to."""

from enum import Enum, auto

from pydantic_core import to_json

from scout_proxy.errors import ProxyError
from scout_proxy.native.errors import native_body, native_status
from scout_proxy.openai.errors import openai_body, openai_status

_NATIVE_PATHS = frozenset({"/generate_stream", "/info", "/tokenize"})


class Family(Enum):
    """Whose clients a route is for."""

    DOCUMENTED = auto()
    NATIVE = auto()
    OPENAI = auto()


def family_of(method: str, path: str) -> Family:
    """Return the family of a route; what is no route has the documented form."""
    if path.startswith("/v1/"):
        return Family.OPENAI
    if path in _NATIVE_PATHS or (path == "/" and method == "POST"):
        return Family.NATIVE
    return Family.DOCUMENTED


def error_status(error: ProxyError, family: Family) -> int:
    """Return the status of an error's answer."""
    match family:
        case Family.DOCUMENTED:
            return error.status
        case Family.NATIVE:
            return native_status(error)
        case Family.OPENAI:
            return openai_status(error)


def error_body(error: ProxyError, family: Family) -> bytes:
    """Return the body of an error's answer."""
    match family:
        case Family.DOCUMENTED:
            return to_json({"detail": error.detail})
        case Family.NATIVE:
            return native_body(error)
        case Family.OPENAI:
            return openai_body(error)
