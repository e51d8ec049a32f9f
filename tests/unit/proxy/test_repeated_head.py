import pytest

from scout_proxy.http.repeated_head import RepeatedHead, repeated_head

HEAD = b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nAccept: */*\r\n\r\n"
NAMES = (b"host", b"content-length", b"accept")


def known(head: bytes = HEAD, body: bytes = b"{}", names: tuple[bytes, ...] = NAMES) -> RepeatedHead[str] | None:
    return repeated_head(head + body, body, names, "what it asks")


def test_it_is_known_with_another_body() -> None:
    head = known()

    assert head is not None
    assert head.asked == "what it asks"
    assert head.body_of(HEAD + b"{}") == b"{}"
    assert head.body_of(HEAD.replace(b": 2", b": 12") + b'{"a": "long"') == b'{"a": "long"'


@pytest.mark.parametrize(
    "other",
    [
        HEAD.replace(b"x", b"y") + b"{}",
        HEAD.replace(b"*/*", b"a/b") + b"{}",
        HEAD + b"{",
        HEAD + b"{}\r\n",
        HEAD.replace(b": 2", b": ") + b"{}",
        HEAD.replace(b": 2", b": +2") + b"{}",
        HEAD.replace(b": 2", b": 2 ") + b"{}",
        HEAD.replace(b": 2", b": 0000002") + b"{}",
        HEAD.replace(b": 2", b": 9999999") + b"{}",
        HEAD[:-4],
        HEAD[:40],
        b"",
    ],
)
def test_nothing_else_is_taken_for_it(other: bytes) -> None:
    head = known()

    assert head is not None
    assert head.body_of(other) is None


@pytest.mark.parametrize(
    ("head", "names"),
    [
        (HEAD.replace(b"Content-Length: 2\r\n", b""), (b"host", b"accept")),
        (HEAD.replace(b"Accept: */*", b"Content-Length: 2"), (b"host", b"content-length", b"content-length")),
        (HEAD.replace(b"*/*", b"x" * 1024), NAMES),
        (b"\r\n" + HEAD[:-2], NAMES),
    ],
    ids=["without a length", "with two", "too long", "that does not end"],
)
def test_some_are_not_kept(head: bytes, names: tuple[bytes, ...]) -> None:
    assert known(head, names=names) is None


def test_one_that_did_not_come_with_its_body_alone_is_not_kept() -> None:
    assert repeated_head(HEAD + b"{}" + HEAD, b"{}", NAMES, "") is None
    assert repeated_head(HEAD, b"{}", NAMES, "") is None
