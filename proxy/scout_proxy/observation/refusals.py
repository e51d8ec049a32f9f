"""Why a request was not let in, in the words that the metrics count it by."""

from scout_proxy.access.gate_errors import KeyLimitError, UnauthorizedError
from scout_proxy.errors import BodyTimeoutError, BodyTooLargeError, NotLoadedError, OverloadedError, ProxyError

_WORDS: tuple[tuple[type[ProxyError], str], ...] = (
    (OverloadedError, "queue_full"),
    (KeyLimitError, "key_limit"),
    (UnauthorizedError, "unauthorized"),
    (BodyTooLargeError, "body_too_large"),
    (BodyTimeoutError, "body_timeout"),
    (NotLoadedError, "not_loaded"),
)


def refusal_of(error: ProxyError) -> str | None:
    """Return the word; None for what was let in and failed, or was no request that can be served."""
    return next((word for kind, word in _WORDS if isinstance(error, kind)), None)
