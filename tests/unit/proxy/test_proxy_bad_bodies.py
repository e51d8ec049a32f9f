"""Bodies that are no requests: not text, not JSON, beyond numbers, compressed, without end. The same on every route."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic, thread_time

import pytest

from fakes.every_way import GENERATE, WAYS, Way
from fakes.odd_engine import OddEngine, chunk, odd_service
from fakes.openai_requests import CHAT, MODEL
from fakes.running_proxy import RunningProxy, read_answer, read_to_end
from scout_proxy.errors import InvalidRequestError
from scout_proxy.generate.contract import parse_generate_request
from scout_proxy.openai.requests import parse_chat_request, parse_completion_request
from scout_proxy.route_table import Cache

generate = partial(parse_generate_request, max_num_return_sequences=8)

MEGABYTE = 1024 * 1024
LINGER_S = 5


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningProxy, OddEngine]]:
    with odd_service(tmp_path_factory.mktemp("bad-bodies"), cache=Cache()) as service:
        assert service[0].generate(prompt="stored").status_code == 200
        yield service


@pytest.fixture
def proxy(odd: tuple[RunningProxy, OddEngine]) -> Iterator[RunningProxy]:
    running, engine = odd
    before = len(engine.seen.generations)
    yield running
    running.restore()
    assert len(engine.seen.generations) == before, "it got to the engine"


def ask(proxy: RunningProxy, request: bytes) -> tuple[int, bytes, bytes]:
    """Return the status, the head and the body of the answer."""
    with proxy.send(request) as connection:
        head, _, body = read_answer(connection).partition(b"\r\n\r\n")
    return int(head[9:12]), head, body


def is_openai(way: Way) -> bool:
    return way.path.startswith("/v1/")


def with_text(way: Way, text: bytes) -> bytes:
    """Put a JSON string, or whatever it is, in the place of what the model is to answer."""
    if way.path == CHAT:
        return b'{"model":"%b","messages":[{"role":"user","content":%b}]}' % (MODEL.encode(), text)
    if is_openai(way):
        return b'{"model":"%b","prompt":%b}' % (MODEL.encode(), text)
    return b'{"%b":%b}' % (b"prompt" if way.path == GENERATE else b"inputs", text)


def with_number(way: Way, number: bytes) -> bytes:
    """Put a number in the place of the temperature."""
    body = with_text(way, b'"p"')
    if way.is_native:
        return body[:-1] + b',"parameters":{"temperature":%b}}' % number
    return body[:-1] + b',"temperature":%b}' % number


NO_TEXT = {
    "invalid utf-8": b'"\xff\xfe"',
    "half a character": b'"\xe4\xb8"',
    "overlong": b'"\xc0\xaf"',
    "a surrogate in utf-8": b'"\xed\xa0\x80"',
    "a lone surrogate": b'"\\ud800"',
    "no escape": b'"\\x"',
    "a line break": b'"a\nb"',
    "a number": b"5",
    "an object": b"{}",
    "true": b"true",
    "an empty text": b'""',
}


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_what_is_no_text_is_refused(proxy: RunningProxy, way: Way) -> None:
    for what, text in NO_TEXT.items():
        if way.path == CHAT and what == "an empty text":
            continue
        status, _, body = ask(proxy, way.with_body(with_text(way, text)))

        assert (status, what) == (way.status(422), what)
        assert way.message(body)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_what_is_no_json_object_is_refused(proxy: RunningProxy, way: Way) -> None:
    bodies = {
        "nothing": b"",
        "null": b"null",
        "a list": b"[]",
        "a text": b'"p"',
        "half": way.content[:-1],
        "two": way.content * 2,
        "utf-16": way.content.decode().encode("utf-16"),
        "a byte order mark": b"\xef\xbb\xbf" + way.content,
        "a form": b"prompt=p&inputs=p",
        "zeros": b"\x00" * 1000,
        "deep": with_text(way, b"[" * 100_000),
        "deep and closed": with_text(way, b'{"a":' * 5_000 + b"1" + b"}" * 5_000),
        "a name that is no text": b'{"\xff": 1}',
    }
    for what, content in bodies.items():
        status, _, body = ask(proxy, way.with_body(content))

        assert (status, what) == (way.status(422), what)
        assert way.message(body)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_numbers_beyond_a_float_are_refused(proxy: RunningProxy, way: Way) -> None:
    for number in (b"1e999", b"-1e999", b"NaN", b"Infinity", b"-Infinity", b"9" * 10_000, b"1e", b"0x1", b"01"):
        status, _, body = ask(proxy, way.with_body(with_number(way, number)))

        assert (status, number) == (way.status(422), number)
        assert way.message(body)


def test_whole_numbers_beyond_the_engines_are_refused(proxy: RunningProxy) -> None:
    for field in ("max_length", "top_k", "num_return_sequences", "seed"):
        for number in (2**31, -(2**31) - 1, 10**400):
            answer = proxy.post(json={"prompt": "p", field: number})

            assert answer.status_code == 422
            assert answer.json()["detail"][0]["loc"] == ["body", field]
            assert len(answer.content) < 1000


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP", "identity, gzip", "x"])
def test_a_compressed_body_is_a_415(proxy: RunningProxy, way: Way, encoding: str) -> None:
    status, head, body = ask(proxy, way.with_body(way.content, f"Content-Encoding: {encoding}"))

    assert status == 415
    assert b"\r\naccept-encoding: identity" in head.lower()
    assert "send the JSON as it is" in way.message(body)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_body_in_chunks_that_are_compressed_is_not_read_either(proxy: RunningProxy, way: Way) -> None:
    head = f"POST {way.path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".encode()
    status, _, _ = ask(proxy, head + chunk(b"\x1f\x8b\x08\x00") + chunk(b""))

    assert status == way.status(422)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_chunks_without_end_are_a_413_that_can_be_read(proxy: RunningProxy, way: Way) -> None:
    connection = proxy.send(f"POST {way.path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    piece, sent, began_s = chunk(b" " * MEGABYTE), 0, monotonic()
    try:
        while sent < 300 * MEGABYTE:
            connection.sendall(piece)
            sent += MEGABYTE
    except (BrokenPipeError, ConnectionResetError):
        # It was told, and went on for longer than anybody listens, in bytes or on a slow machine in seconds.
        connection.close()
        assert sent > 60 * MEGABYTE or monotonic() - began_s > LINGER_S
        return
    pytest.fail("there is no end to what is taken")


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_client_that_stops_at_some_time_reads_its_413(proxy: RunningProxy, way: Way) -> None:
    connection = proxy.send(f"POST {way.path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    for _ in range(10):
        connection.sendall(chunk(b" " * MEGABYTE))
    connection.sendall(chunk(b""))

    answer = read_answer(connection)
    connection.close()

    assert answer.startswith(b"HTTP/1.1 413 ")
    message = way.message(answer.partition(b"\r\n\r\n")[2])
    assert message == "Request body larger than the limit of 2000000 bytes"


@pytest.mark.parametrize(
    ("begin", "piece"),
    [(b"", b"X-Filler: " + b"x" * 1000 + b"\r\n"), (b"X-Filler: ", b"x" * 1000)],
    ids=["many trailers", "one trailer"],
)
def test_trailers_without_end_are_a_431(proxy: RunningProxy, begin: bytes, piece: bytes) -> None:
    for way in WAYS:
        head = f"POST {way.path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        connection = proxy.send(head + chunk(b" ") + b"0\r\n" + begin)
        for _ in range(200):
            connection.sendall(piece)

        answer = read_to_end(connection)

        assert answer.startswith(b"HTTP/1.1 431 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["detail"].startswith("The request's trailers are larger")


def test_a_chunk_whose_size_has_no_end_is_a_431(proxy: RunningProxy) -> None:
    connection = proxy.send(b"POST /generate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;a=")
    for _ in range(200):
        connection.sendall(b"x" * 1000)

    assert read_to_end(connection).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "head",
    [
        b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 3\r\nContent-Length: 4\r\n",
        b"Content-Length: +3\r\n",
        b"Content-Length: 3,3\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"X-A: b\r\n c\r\n",
        b"X-A: \x00\r\n",
        b"X A: b\r\n",
    ],
)
def test_a_head_that_two_servers_could_read_differently_is_a_400(proxy: RunningProxy, head: bytes) -> None:
    request = b"POST /generate HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n3\r\nabc\r\n0\r\n\r\n"
    connection = proxy.send(request)

    answer = read_to_end(connection)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_trailers_are_no_headers(proxy: RunningProxy) -> None:
    trailers = b"X-Request-ID: from-a-trailer\r\nContent-Encoding: gzip\r\n\r\n"
    head = b"Host: x\r\nX-Request-ID: from-the-head\r\nTransfer-Encoding: chunked\r\n\r\n"
    asked = {GENERATE.encode(): (b'{"prompt": "stored"}', 200), b"/": (b"{}", 422), b"/v1/completions": (b"{}", 400)}
    for path, (content, expected) in asked.items():
        status, answer, _ = ask(proxy, b"POST %b HTTP/1.1\r\n%b%b0\r\n%b" % (path, head, chunk(content), trailers))

        assert status == expected
        assert b"\r\nx-request-id: from-the-head" in answer


def test_of_a_name_that_is_given_twice_the_last_one_counts(odd: tuple[RunningProxy, OddEngine]) -> None:
    """As in Python's json; what is forwarded as it is has its engine decide, and TGI refuses it."""
    running, _ = odd
    for way in WAYS:
        content = with_text(way, b'"p"')
        name = b"messages" if way.path == CHAT else b"inputs" if way.is_native else b"prompt"
        first = b'{"%b":5,%b' % (name, content[1:])
        if way.is_streamed and way.path != "/generate_stream":
            first = b'{"stream":false,"stream":true,' + first[1:]
        with running.send(way.with_body(first, "Connection: close")) as connection:
            answer = read_to_end(connection)

        assert answer.startswith(b"HTTP/1.1 200 "), (way, answer)
        assert (b"text/event-stream" in answer) == way.is_streamed
        status, _, _ = ask(running, way.with_body(content[:-1] + b"," + with_text(way, b"5")[1:]))
        assert status == way.status(422)


def many(item: bytes) -> bytes:
    return b"[" + b",".join([item] * (1_900_000 // (len(item) + 1))) + b"]"


NAMES = b",".join(b'"field-%d":1' % number for number in range(100_000))


@pytest.mark.parametrize(
    ("parse", "body"),
    [
        (generate, b'{"prompt":"p","stop":' + many(b'""') + b"}"),
        (generate, b'{"prompt":"p","stop":' + many(b"1") + b"}"),
        (generate, b'{"prompt":"p",' + NAMES + b"}"),
        (parse_chat_request, b'{"messages":' + many(b"5") + b"}"),
        (parse_chat_request, b'{"messages":' + many(b'{"role":"x"}') + b"}"),
        (parse_chat_request, b'{"messages":[{"role":"user","content":' + many(b'{"type":"x"}') + b"}]}"),
        (parse_chat_request, b'{"messages":[{"role":"user"}],"tools":' + many(b"{}") + b"}"),
        (parse_chat_request, b'{"messages":[{"role":"user"}],"stop":' + many(b"1") + b"}"),
        (parse_chat_request, b'{"messages":[{"role":"assistant","tool_calls":' + many(b"{}") + b"}]}"),
        (parse_chat_request, b'{"messages":[{"role":"user"}],' + NAMES + b"}"),
        (parse_completion_request, b'{"prompt":' + many(b'""') + b"}"),
        (parse_completion_request, b'{"prompt":' + many(b"1") + b"}"),
    ],
)
def test_to_say_what_is_wrong_with_much_takes_no_longer_than_to_read_it(
    parse: Callable[[bytes], object], body: bytes
) -> None:
    """For as long as one body is refused, everybody waits."""
    began = thread_time()
    json.loads(body)
    read_s = thread_time() - began

    began = thread_time()
    with pytest.raises(InvalidRequestError) as caught:
        parse(body)
    refused_s = thread_time() - began

    assert len(str(caught.value)) < 10_000
    assert refused_s < 20 * read_s
