"""Which web pages may use the API from a browser: the CORS protocol of the Fetch standard, without cookies.

Keys are sent by the page's own code in `Authorization`, so `Access-Control-Allow-Credentials` is never given.
"""

from collections.abc import Iterable, Sequence

RawHeaders = tuple[tuple[bytes, bytes], ...]

_ANY = "*"
_METHODS = b"GET, HEAD, POST, OPTIONS"
_MAX_AGE_S = b"600"
# What of an answer, besides the few headers that pages always see, a page may read.
_EXPOSED = b"X-Request-ID, X-Cache, Age, Retry-After, X-Queue-Time, X-Generated-Tokens"
_VARY = (b"vary", b"Origin")


class CorsRules:
    """The rules for these origins; falsy where there are none. `*` is every page."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._is_open = _ANY in origins
        self._is_set = bool(origins)
        allowed = {b"*"} if self._is_open else {origin.lower().encode("ascii", "ignore") for origin in origins}
        # An answer that depends on the origin says so to caches, whether or not this request has one.
        self._unknown: RawHeaders = (_VARY,) if self._is_set and not self._is_open else ()
        self._known: dict[bytes, RawHeaders] = {
            origin: (
                (b"access-control-allow-origin", origin),
                (b"access-control-expose-headers", _EXPOSED),
                *self._unknown,
            )
            for origin in allowed
        }

    def __bool__(self) -> bool:
        """Whether any page may use the API."""
        return self._is_set

    def headers_for(self, origin: bytes | None) -> RawHeaders:
        """Return what is added to an answer for a request with this `Origin`."""
        if origin is None:
            return self._unknown
        return self._known.get(b"*" if self._is_open else origin, self._unknown)

    def preflight(self, headers: Iterable[tuple[bytes, bytes]]) -> tuple[int, RawHeaders] | None:
        """Answer the question that a browser asks by OPTIONS before the request itself; it carries no key.

        Args:
            headers: Of the OPTIONS request, with names in lower case.

        Returns:
            204 and what is allowed, or 400 for a page that is not; None where it is an OPTIONS of another kind.
        """
        if not self._is_set:
            return None
        sent = dict(headers)
        origin, method = sent.get(b"origin"), sent.get(b"access-control-request-method")
        if origin is None or method is None:
            return None
        known = self.headers_for(origin)
        if known == self._unknown:
            return 400, self._unknown
        wanted = sent.get(b"access-control-request-headers")
        asked: RawHeaders = () if wanted is None else ((b"access-control-allow-headers", wanted),)
        return 204, (
            *known,
            (b"access-control-allow-methods", _METHODS),
            *asked,
            (b"access-control-max-age", _MAX_AGE_S),
        )
