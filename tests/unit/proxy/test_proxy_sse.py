from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scout_proxy.http.sse import COMMENT, EventReader, EventTooLargeError, write_event, write_events

PAYLOADS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1).map(str.encode), max_size=6
)


def read(*chunks: bytes, max_event_bytes: int = 1000) -> list[bytes]:
    reader = EventReader(max_event_bytes)
    return [payload for chunk in chunks for payload in reader.feed(chunk)]


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    cuts = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(cuts)]


@pytest.mark.parametrize(
    ("stream", "payloads"),
    [
        (b'data: {"a": 1}\n\n', [b'{"a": 1}']),
        (b'data:{"a": 1}\n\n', [b'{"a": 1}']),
        (b"data:  two spaces\n\n", [b" two spaces"]),
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\r\rdata: b\r\r\n", [b"a", b"b"]),
        (b"\n\n\ndata: a\n\n\n\n", [b"a"]),
        (b": a comment\n\ndata: a\n\n:\n\n", [b"a"]),
        (b":about a\ndata: a\n\n", [b"a"]),
        (b"event: done\nid: 7\nretry: 3\ndata: a\n\n", [b"a"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"event: nothing\n\n", []),
        (b"data\n\ndata:\n\n", [b"", b""]),
        (b"database: a\n\n", []),
        (b"data: a\n\ndata: cut off\n", [b"a"]),
        (b"", []),
    ],
)
def test_events_are_read_however_they_are_cut(stream: bytes, payloads: list[bytes]) -> None:
    assert read(stream) == payloads
    assert read(*(stream[place : place + 1] for place in range(len(stream)))) == payloads
    for place in range(len(stream)):
        assert read(stream[:place], b"", stream[place:]) == payloads


@given(payloads=PAYLOADS, places=st.lists(st.integers(0, 1000), max_size=8), ending=st.sampled_from([b"\r\n", b"\r"]))
def test_what_is_written_is_read(payloads: list[bytes], places: list[int], ending: bytes) -> None:
    stream = COMMENT.join(write_event(payload, name="token") for payload in payloads)

    assert read(*cut(stream, places)) == payloads
    assert read(*cut(stream.replace(b"\n", ending) + b"\n", places)) == payloads
    assert write_events(payloads) == b"".join(write_event(payload) for payload in payloads)


@pytest.mark.parametrize("chunk_bytes", [1, 7, 1000, 5000])
def test_an_event_has_an_end_to_its_size(chunk_bytes: int) -> None:
    stream = b"data: fits\n\ndata: " + b"x" * 2000 + b"\n\n"
    chunks = [stream[place : place + chunk_bytes] for place in range(0, len(stream), chunk_bytes)]

    with pytest.raises(EventTooLargeError, match="1000 bytes"):
        read(*chunks)


def test_many_events_together_may_be_larger_than_one() -> None:
    assert len(read(b"data: 0123456789\n\n" * 1000)) == 1000
    assert len(read(b"data: 0123456789\n\n" * 1000 + b"data: ")) == 1000
