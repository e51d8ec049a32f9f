from scout_proxy.access.cors import CorsRules

PAGE = b"https://chat.example"
EXPOSED = (
    b"access-control-expose-headers",
    b"X-Request-ID, X-Cache, Age, Retry-After, X-Queue-Time, X-Generated-Tokens",
)
VARY = (b"vary", b"Origin")


def question(origin: bytes, *headers: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return [(b"origin", origin), (b"access-control-request-method", b"POST"), *headers]


def test_without_origins_nothing_is_added() -> None:
    rules = CorsRules(())

    assert not rules
    assert rules.headers_for(PAGE) == ()
    assert rules.preflight(question(PAGE)) is None


def test_a_named_origin_may_read_the_answer() -> None:
    rules = CorsRules(("https://Chat.Example", "http://localhost:3000"))

    assert rules
    assert rules.headers_for(PAGE) == ((b"access-control-allow-origin", PAGE), EXPOSED, VARY)
    assert rules.headers_for(b"http://localhost:3000")[0] == (b"access-control-allow-origin", b"http://localhost:3000")


def test_another_origin_may_not_and_caches_are_told() -> None:
    rules = CorsRules(("https://chat.example",))

    for origin in (b"https://chat.example.evil", b"https://chat.example:444", b"http://chat.example", b"null", None):
        assert rules.headers_for(origin) == (VARY,)


def test_a_star_is_every_page() -> None:
    rules = CorsRules(("*",))

    assert rules.headers_for(PAGE) == ((b"access-control-allow-origin", b"*"), EXPOSED)
    assert rules.headers_for(b"null") == ((b"access-control-allow-origin", b"*"), EXPOSED)
    assert rules.headers_for(None) == ()


def test_a_browsers_question_is_answered_with_what_it_asked_for() -> None:
    wanted = (b"access-control-request-headers", b"authorization,content-type,x-stainless-os")

    assert CorsRules(("https://chat.example",)).preflight(question(PAGE, wanted)) == (
        204,
        (
            (b"access-control-allow-origin", PAGE),
            EXPOSED,
            VARY,
            (b"access-control-allow-methods", b"GET, HEAD, POST, OPTIONS"),
            (b"access-control-allow-headers", wanted[1]),
            (b"access-control-max-age", b"600"),
        ),
    )


def test_a_foreign_pages_question_is_refused() -> None:
    assert CorsRules(("https://chat.example",)).preflight(question(b"https://evil.example")) == (400, (VARY,))


def test_an_options_request_that_no_browser_sends_is_none_of_it() -> None:
    rules = CorsRules(("*",))

    assert rules.preflight([(b"origin", PAGE)]) is None
    assert rules.preflight([(b"access-control-request-method", b"POST")]) is None
