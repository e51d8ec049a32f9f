import pytest

from scout_proxy.cache.cache_directives import NONE, CacheDirectives, parse_directives


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (b"no-cache", CacheDirectives(no_cache=True)),
        (b"no-store", CacheDirectives(no_store=True)),
        (b"max-age=60", CacheDirectives(max_age_s=60)),
        (b"max-age=0", CacheDirectives(max_age_s=0)),
        (b'max-age="60"', CacheDirectives(max_age_s=60)),
        (b" No-Cache , NO-STORE,max-age = 5 ", CacheDirectives(no_cache=True, no_store=True, max_age_s=5)),
        (b"no-transform, only-if-cached, max-stale=9", NONE),
        (b"no-cached, xno-store, max-ages=1", NONE),
        (b"", NONE),
        (b",,,", NONE),
    ],
)
def test_what_a_request_asks_of_the_cache(said: bytes, meant: CacheDirectives) -> None:
    assert parse_directives(said) == meant


@pytest.mark.parametrize("age", [b"", b"-1", b"1.5", b"soon", b"9" * 11, "\u0663".encode()])
def test_an_age_that_is_no_number_asks_for_a_fresh_answer(age: bytes) -> None:
    assert parse_directives(b"max-age=" + age) == CacheDirectives(no_cache=True)


def test_pragma_counts_only_without_cache_control() -> None:
    assert parse_directives(None, b"no-cache") == CacheDirectives(no_cache=True)
    assert parse_directives(None, b"x=y") == NONE
    assert parse_directives(b"max-age=5", b"no-cache") == CacheDirectives(max_age_s=5)
    assert parse_directives(None, None) == NONE
