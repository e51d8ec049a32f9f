"""One API key as its owner wrote it down, and what a key may look like. Pure."""

import re
import secrets
from dataclasses import dataclass, field

MIN_KEY_CHARS = 16
MAX_KEY_CHARS = 512
OPERATOR = "scout-deploy"
"""The name of the key that each deployment has for the toolkit itself."""

# RFC 6750 §2.1: what may stand behind `Bearer`.
_KEY = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PREFIX = "scout-"
_RANDOM_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class NamedKey:
    """A key.

    Args:
        key: The secret itself; shown nowhere.
        requests_per_minute: None is without limit.
        max_concurrent: None is without limit.
    """

    name: str
    key: str = field(repr=False)
    requests_per_minute: float | None = None
    max_concurrent: int | None = None


def new_key() -> str:
    """Return a key that nobody has."""
    return _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def name_problem(name: str) -> str | None:
    """Say what is wrong with a name; None where nothing is."""
    if _NAME.fullmatch(name) is None:
        return "a name has letters, digits, dots, dashes and underscores, at most 64, a letter or digit first"
    return f"the name '{OPERATOR}' is scout-deploy's own" if name == OPERATOR else None


def key_problem(key: str) -> str | None:
    """Say what is wrong with a key, without any part of it; None where nothing is."""
    if len(key) < MIN_KEY_CHARS:
        return f"the key has {len(key)} characters and needs {MIN_KEY_CHARS} at least"
    if len(key) > MAX_KEY_CHARS:
        return f"the key has {len(key)} characters, more than {MAX_KEY_CHARS}"
    if _KEY.fullmatch(key) is None:
        return (
            "the key has a character that no key may have: letters, digits and . _ ~ + / - may be in it, = at its end"
        )
    return None
