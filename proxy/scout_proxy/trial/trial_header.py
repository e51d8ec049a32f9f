"""The header that tells a request of a trial from all others."""

import hmac
from collections.abc import Iterable
from hashlib import sha256

TRIAL_HEADER = b"x-scout-trial"
# Longer than any token; what is longer is not worth a digest.
_MAX_TOKEN_BYTES = 256

RawHeaders = Iterable[tuple[bytes, bytes]]


def carries_token(headers: RawHeaders, digest: bytes) -> bool:
    """Tell whether a request carries the token of this digest; of a header that is sent twice the first one counts.

    The comparison takes the same time however much of the digest is right.
    """
    token = next((value for name, value in headers if name == TRIAL_HEADER), None)
    if token is None or len(token) > _MAX_TOKEN_BYTES:
        return False
    return hmac.compare_digest(sha256(token).digest(), digest)


def without_token(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    """Return the headers as whoever answers the request may see them."""
    return [(name, value) for name, value in headers if name != TRIAL_HEADER]
