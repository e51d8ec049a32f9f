import pytest

from fakes.api_keys import ALICE, BOB, api_keys
from scout_proxy.access.gate_errors import UnauthorizedError
from scout_proxy.access.key_ring import KeyRing


def refusal(ring: KeyRing, authorization: bytes | None) -> str:
    with pytest.raises(UnauthorizedError) as caught:
        ring.identify(authorization)
    return caught.value.message


def test_a_key_is_known_by_its_name() -> None:
    ring = KeyRing(api_keys())

    assert ring.identify(f"Bearer {ALICE}".encode()) == "alice"
    assert ring.identify(f"Bearer {BOB}".encode()) == "bob"
    assert ring.identify(f"Bearer {ALICE}".encode()) == "alice"


@pytest.mark.parametrize("header", ["bearer {}", "BEARER {}", "Bearer   {}", "Bearer {} "])
def test_the_spelling_of_the_scheme_does_not_matter(header: str) -> None:
    assert KeyRing(api_keys()).identify(header.format(ALICE).encode()) == "alice"


def test_without_keys_everybody_is_let_in() -> None:
    ring = KeyRing(None)

    assert ring.identify(None) == ""
    assert ring.identify(b"Bearer whatever") == ""


@pytest.mark.parametrize(
    "key", [ALICE[:-1], ALICE + "x", ALICE.upper(), "", " ", "\x00", "é" * 16, "x" * 60_000, "5a" * 32]
)
def test_a_wrong_key_is_refused_each_time(key: str) -> None:
    ring = KeyRing(api_keys())

    for _ in range(2):
        refusal(ring, f"Bearer {key}".encode())


def test_a_digest_is_no_key() -> None:
    keys = api_keys()

    assert refusal(KeyRing(keys), f"Bearer {keys.keys[0].digest}".encode()).startswith("The API key is not one of")


@pytest.mark.parametrize("header", [b"", b"Bearer", b"Bearer ", b"Basic YWxpY2U6eA==", ALICE.encode(), b"\xff\xfe"])
def test_a_header_without_a_key_says_how_one_is_sent(header: bytes) -> None:
    assert refusal(KeyRing(api_keys()), header) == (
        "The Authorization header holds no API key; send it as `Authorization: Bearer <key>`"
    )


def test_no_header_says_that_a_key_is_needed() -> None:
    assert refusal(KeyRing(api_keys()), None) == ("An API key is needed; send it as `Authorization: Bearer <key>`")


def test_the_refusal_names_the_scheme_and_never_the_key() -> None:
    with pytest.raises(UnauthorizedError) as caught:
        KeyRing(api_keys()).identify(b"Bearer a-secret-that-is-wrong")

    assert caught.value.headers == {"WWW-Authenticate": "Bearer"}
    assert "a-secret-that-is-wrong" not in f"{caught.value} {caught.value.log_reason}"


def test_what_is_kept_of_headers_is_never_more_than_the_keys() -> None:
    ring = KeyRing(api_keys())

    for spaces in range(1, 100):
        ring.identify(b"Bearer" + b" " * spaces + ALICE.encode())
        refusal(ring, b"Bearer " + b"x" * spaces)

    assert len(ring._accepted) == 1
