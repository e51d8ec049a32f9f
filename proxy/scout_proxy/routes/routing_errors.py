"""What the router says of a path that is none, as errors that every family of routes has a form for."""

from starlette.exceptions import HTTPException

from scout_proxy.errors import ProxyError


class NoRouteError(ProxyError):
    """There is no such path."""

    status = 404


class WrongMethodError(ProxyError):
    """The path does not take the request's method.

    Args:
        allowed: Those that it takes, as a header lists them.
    """

    status = 405

    def __init__(self, message: str, allowed: str) -> None:
        super().__init__(message)
        self._allowed = allowed

    @property
    def headers(self) -> dict[str, str]:
        """RFC 9110 §15.5.6."""
        return {"Allow": self._allowed}


def routing_error(error: HTTPException) -> ProxyError:
    """Return the domain error for the router's."""
    if error.status_code == WrongMethodError.status:
        return WrongMethodError(error.detail, (error.headers or {}).get("Allow", ""))
    return NoRouteError(error.detail)
