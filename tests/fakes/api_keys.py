"""API keys as a route table holds them."""

import hmac
from typing import Any

from scout_proxy.route_table import ApiKey, Keys

SALT = "5a" * 16
ALICE = "alice-has-a-secret-0001"
BOB = "bob-has-another-secret-2"


def api_key(name: str, key: str, **limits: Any) -> ApiKey:
    """Build one entry."""
    return ApiKey(id=name, digest=hmac.digest(bytes.fromhex(SALT), key.encode(), "sha256").hex(), **limits)


def api_keys(*keys: ApiKey, **changes: Any) -> Keys:
    """Build the keys of a table; Alice's and Bob's, without limits, where none are given."""
    return Keys(salt=SALT, keys=keys or (api_key("alice", ALICE), api_key("bob", BOB)), **changes)


def bearer(key: str) -> dict[str, str]:
    """Build the header that carries a key."""
    return {"Authorization": f"Bearer {key}"}
