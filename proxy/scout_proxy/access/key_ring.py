"""Which API key a request carries. Only digests are known here; a key itself is in the request that sends it."""

import hmac

from scout_proxy.access.gate_errors import UnauthorizedError
from scout_proxy.route_table import Keys

HOW_TO_SEND = "send it as `Authorization: Bearer <key>`"

_CANONICAL = b"Bearer "
# Longer than any key that the toolkit takes; what is longer is not worth a digest.
_MAX_KEY_BYTES = 1024


class KeyRing:
    """The keys of one route table; without any, everybody is let in under the empty id.

    A key is compared by its digest with every key there is, in constant time and without an early end, so that the
    time of an answer tells nothing about the keys. A header that was accepted is kept beside its id, which makes the
    next request with it a look-up in a dictionary. That tells nothing either: Python hashes bytes under a secret of
    the process, and only bytes of the same hash are compared at all. Only accepted headers in their usual spelling
    are kept, so there are never more of them than keys, and a ring ends with its table, so none outlives its key.
    """

    def __init__(self, keys: Keys | None) -> None:
        self._salt = b"" if keys is None else bytes.fromhex(keys.salt)
        self._keys = () if keys is None else tuple((bytes.fromhex(key.digest), key.id) for key in keys.keys)
        self._accepted: dict[bytes | None, str] = {}

    def identify(self, authorization: bytes | None) -> str:
        """Return the id of the key in an `Authorization` header's value, the empty text where no keys are set.

        Raises:
            UnauthorizedError: There is no key in it, or one that is not of this table.
        """
        if not self._keys:
            return ""
        key_id = self._accepted.get(authorization)
        return self._look_up(authorization) if key_id is None else key_id

    def _look_up(self, authorization: bytes | None) -> str:
        if authorization is None:
            raise UnauthorizedError(f"An API key is needed; {HOW_TO_SEND}")
        scheme, _, rest = authorization.partition(b" ")
        key = rest.strip(b" \t")
        # RFC 9110 §11.1: the scheme's case does not matter.
        if scheme.lower() != b"bearer" or not key:
            raise UnauthorizedError(f"The Authorization header holds no API key; {HOW_TO_SEND}")
        key_id = self._owner(key)
        if authorization == _CANONICAL + key:
            self._accepted[authorization] = key_id
        return key_id

    def _owner(self, key: bytes) -> str:
        found: str | None = None
        if len(key) <= _MAX_KEY_BYTES:
            digest = hmac.digest(self._salt, key, "sha256")
            for known, key_id in self._keys:
                if hmac.compare_digest(known, digest):
                    found = key_id
        if found is None:
            raise UnauthorizedError("The API key is not one of this service; ask whoever runs it for one")
        return found
