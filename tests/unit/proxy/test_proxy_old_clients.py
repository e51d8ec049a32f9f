"""Clients of HTTP/1.0, which know neither chunks nor, unless it is said, connections that are kept."""

import pytest

from fakes.every_way import STREAMED, WHOLE, Way
from fakes.fake_engine import FakeEngine
from fakes.running_proxy import RunningProxy, read_to_end
from scout_proxy.route_table import Cache


def old(request: bytes) -> bytes:
    return request.replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1)


def answer_of(proxy: RunningProxy, request: bytes) -> tuple[bytes, bytes]:
    with proxy.send(old(request)) as connection:
        head, _, body = read_to_end(connection).partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head
    assert b"transfer-encoding" not in head.lower()
    return head, body


@pytest.mark.parametrize("way", WHOLE, ids=str)
def test_a_whole_answer_has_a_length_and_ends_the_connection(proxy: RunningProxy, way: Way) -> None:
    head, body = answer_of(proxy, way.request)

    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"\r\ncontent-length: %d" % len(body) in head


@pytest.mark.parametrize("way", STREAMED, ids=str)
def test_a_stream_comes_without_chunks_and_ends_with_the_connection(proxy: RunningProxy, way: Way) -> None:
    head, body = answer_of(proxy, way.request)

    assert head.startswith(b"HTTP/1.1 200 ")
    assert body.startswith(b"data: {")
    assert body.endswith(b"\n\n")
    assert b"\r\n" not in body


def test_a_stored_stream_too(proxy: RunningProxy, engine: FakeEngine) -> None:
    proxy.configure(cache=Cache())
    stream = STREAMED[0].request
    first, second = (answer_of(proxy, stream) for _ in range(2))

    assert b"x-cache: HIT" in second[0]
    assert first[1].partition(b"event: done")[2] == second[1].partition(b"event: done")[2]
    assert b"\r\n" not in second[1]
    assert len(engine.seen.generations) == 1


def test_an_error_has_a_length_too(proxy: RunningProxy) -> None:
    for way in STREAMED:
        head, body = answer_of(proxy, way.with_body(b"{}"))

        assert head.startswith(b"HTTP/1.1 %d " % way.status(422))
        assert way.message(body)
