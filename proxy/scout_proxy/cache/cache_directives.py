"""What a request's own headers ask of the response cache (RFC 9111 §5.2.1). Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheDirectives:
    """The directives that this cache honours; others may be ignored.

    Args:
        no_cache: Only a fresh answer will do; it may be stored.
        no_store: Nothing of this request or its answer is kept.
        max_age_s: The oldest answer that will do; None is any that is fresh.
    """

    no_cache: bool = False
    no_store: bool = False
    max_age_s: int | None = None


NONE = CacheDirectives()


def parse_directives(cache_control: bytes | None, pragma: bytes | None = None) -> CacheDirectives:
    """Read `Cache-Control`; `Pragma: no-cache` counts where that is missing (RFC 9111 §5.4)."""
    if cache_control is None:
        return CacheDirectives(no_cache=True) if pragma is not None and b"no-cache" in pragma.lower() else NONE
    parts = [part.strip().partition(b"=") for part in cache_control.lower().split(b",")]
    names = {name.strip() for name, _, _ in parts}
    ages = [value.strip(b' "') for name, _, value in parts if name.strip() == b"max-age"]
    age = int(ages[0]) if ages and ages[0].isdigit() and len(ages[0]) <= _MAX_DIGITS else None
    # One that is no number is taken for the strictest one (RFC 9111 §4.2.1 encourages to treat it as stale).
    return CacheDirectives(
        no_cache=b"no-cache" in names or (bool(ages) and age is None),
        no_store=b"no-store" in names,
        max_age_s=age,
    )


_MAX_DIGITS = 10
