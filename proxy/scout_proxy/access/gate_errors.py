"""What the gate answers instead of letting a request in.

ProxyError
  UnauthorizedError        401  WWW-Authenticate: Bearer
  CorsRefusedError         400  a browser's question before a request, for a page that may not use the API
  KeyLimitError            429  Retry-After; the limit of one API key
"""

import math

from scout_proxy.errors import ProxyError


class UnauthorizedError(ProxyError):
    """The request carries no API key that is known."""

    status = 401

    @property
    def headers(self) -> dict[str, str]:
        """RFC 6750 §3."""
        return {"WWW-Authenticate": "Bearer"}


class CorsRefusedError(ProxyError):
    """A browser asks for a page whose origin may not use the API."""

    status = 400

    def __init__(self) -> None:
        super().__init__("This page's origin may not use the API; whoever runs it names it in `proxy/cors/origins`")


class KeyLimitError(ProxyError):
    """An API key is at one of its limits."""

    status = 429

    def __init__(self, key_id: str, limit: str, *, retry_after_s: float) -> None:
        super().__init__(f"API key {key_id!r} is at its limit of {limit}; try again after the seconds in Retry-After")
        self._retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        """RFC 9110 §10.2.3: whole seconds."""
        return {"Retry-After": str(max(1, math.ceil(self._retry_after_s)))}
