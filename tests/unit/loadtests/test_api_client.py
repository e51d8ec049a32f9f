"""The client of the load tests against real sockets: what each kind of answer, and of trouble, becomes."""

import json
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from fakes.canned_server import canned_server
from fakes.timed_api import timed_api
from scout_loadtest.client.api_client import ApiClient
from scout_loadtest.errors import InputError
from scout_loadtest.record import ErrorKind, Record, TokenSource
from scout_loadtest.workload.data_row import DataRow
from scout_loadtest.workload.kind import Kind
from scout_loadtest.workload.plan import RequestPlan
from scout_loadtest.workload.request import PlannedRequest

OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
EVENT = b'data: {"sequence": 0, "text": "a"}\n\n'
DONE = b'event: done\ndata: {"generated_texts": ["a"]}\n\n'
CHAT = b'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\r\n\r\n'


def request(kind: Kind) -> PlannedRequest:
    return RequestPlan(seed=1, shares={kind: 1.0}, rows=[DataRow(input_tokens=9, output_tokens=4)]).request(0)


def send(url: str, kind: Kind, *, timeout_s: float = 20, api_key: str | None = None) -> Record:
    client = ApiClient(url, connections=1, timeout_s=timeout_s, api_key=api_key, clock=time.monotonic)
    try:
        return client.send(request(kind))
    finally:
        client.close()


def chunked(*chunks: bytes, ends: bool = True) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return OK + b"transfer-encoding: chunked\r\n\r\n" + body + (b"0\r\n\r\n" if ends else b"")


def whole(status: int, body: str, headers: str = "") -> bytes:
    return f"HTTP/1.1 {status} X\r\n{headers}content-length: {len(body)}\r\n\r\n{body}".encode()


@pytest.mark.parametrize("kind", [Kind.STREAMED, Kind.CHAT])
def test_a_stream_has_its_tokens_and_their_times(tmp_path: Path, kind: Kind) -> None:
    with timed_api(tmp_path, first_ms=30, token_ms=10) as api:
        record = send(api.url, kind)

    assert (record.status, record.error, record.output_tokens, len(record.gaps_ms)) == (200, None, 4, 3)
    assert record.first_token_s is not None
    assert record.last_token_s is not None
    assert record.first_token_s - record.due_s >= 0.029
    assert record.last_token_s - record.due_s >= 0.059
    assert (record.cache, record.queued_ms) == ("MISS", 7.5)
    counted = (TokenSource.SERVER, 11) if kind is Kind.CHAT else (TokenSource.EVENTS, None)
    assert (record.tokens_counted_by, record.input_tokens) == counted


@pytest.mark.parametrize("kind", [Kind.UNIQUE, Kind.SEQUENCES])
def test_a_whole_answer_that_does_not_say_it_has_no_tokens_that_could_be_counted(tmp_path: Path, kind: Kind) -> None:
    with timed_api(tmp_path) as api:
        record = send(api.url, kind)

    assert (record.status, record.error, record.output_tokens, record.first_token_s) == (200, None, None, None)


@pytest.mark.parametrize(
    ("words", "kind", "error", "text"),
    [
        (whole(429, '{"detail": "the queue is full"}'), Kind.UNIQUE, ErrorKind.OVERLOADED, "the queue is full"),
        (whole(503, '{"detail": "Model not loaded"}'), Kind.CHAT, ErrorKind.NOT_READY, "Model not loaded"),
        (whole(500, '{"error": {"message": "bad"}}'), Kind.CHAT, ErrorKind.SERVER, "bad"),
        (whole(504, "<html>"), Kind.STREAMED, ErrorKind.SERVER, "<html>"),
        (whole(401, '{"detail": "no key"}'), Kind.UNIQUE, ErrorKind.CLIENT, "no key"),
        (whole(422, '{"detail": [{"msg": "x"}]}'), Kind.UNIQUE, ErrorKind.CLIENT, '[{"msg": "x"}]'),
        (whole(308, "", "location: http://b/\r\n"), Kind.UNIQUE, ErrorKind.CLIENT, "redirected to http://b/"),
        (whole(204, ""), Kind.UNIQUE, ErrorKind.MALFORMED, ""),
        (whole(200, "[]"), Kind.UNIQUE, ErrorKind.MALFORMED, "not an object"),
        (whole(200, '{"generated_texts": ["a", "b"]}'), Kind.UNIQUE, ErrorKind.MALFORMED, "2 texts, 1 were asked for"),
        (whole(200, '{"generated_texts": ["a"]}'), Kind.STREAMED, ErrorKind.MALFORMED, "no type came"),
        (whole(200, '{"generated_texts": ["a"]}')[:-4], Kind.UNIQUE, ErrorKind.BROKEN, ""),
        (b"", Kind.UNIQUE, ErrorKind.BROKEN, "closed"),
        (b"SSH-2.0-x\r\n", Kind.UNIQUE, ErrorKind.MALFORMED, "not HTTP"),
        (chunked(EVENT), Kind.STREAMED, ErrorKind.CUT_OFF, "without its end"),
        (chunked(EVENT, DONE[:-1]), Kind.STREAMED, ErrorKind.CUT_OFF, "without its end"),
        (chunked(EVENT, ends=False), Kind.STREAMED, ErrorKind.CUT_OFF, ""),
        (OK + b"\r\n" + CHAT, Kind.CHAT, ErrorKind.CUT_OFF, "without its end"),
        (chunked(EVENT, b'event: error\ndata: {"detail": "lost"}\n\n'), Kind.STREAMED, ErrorKind.ERROR_EVENT, "lost"),
        (chunked(CHAT, b'data: {"error": {"message": "lost"}}\n\n'), Kind.CHAT, ErrorKind.ERROR_EVENT, "lost"),
        (chunked(b"data: {\n\n"), Kind.STREAMED, ErrorKind.MALFORMED, "not JSON"),
        (chunked(b"data: \xff\n\n"), Kind.STREAMED, ErrorKind.MALFORMED, "utf-8"),
        (chunked(b'data: {"choices": [7]}\n\n'), Kind.CHAT, ErrorKind.MALFORMED, "another form"),
    ],
)
def test_trouble_is_of_a_kind_and_in_words(words: bytes, kind: Kind, error: ErrorKind, text: str) -> None:
    with canned_server(words) as url:
        record = send(url, kind)

    assert record.error == error
    assert text in (record.error_text or "")
    assert record.ended_s >= record.sent_s


def test_events_may_be_cut_anywhere_and_end_their_lines_in_either_way() -> None:
    stream = b": a comment\r\n\r\n" + CHAT + b'data: {"choices": [], "usage": null}\n\ndata: [DONE]\n\n'
    with canned_server(chunked(*(stream[place : place + 7] for place in range(0, len(stream), 7)))) as url:
        record = send(url, Kind.CHAT)

    # Without the server's count it is that of the pieces.
    assert (record.error, record.output_tokens, record.tokens_counted_by) == (None, 1, TokenSource.EVENTS)


def test_a_connection_that_breaks_after_the_end_takes_nothing_from_the_answer() -> None:
    with canned_server(chunked(EVENT, DONE, ends=False)) as url:
        record = send(url, Kind.STREAMED)

    assert (record.error, record.output_tokens) == (None, 1)


def test_a_whole_answer_says_in_its_head_how_many_tokens_were_generated_for_it() -> None:
    with canned_server(whole(200, '{"generated_texts": ["a"]}', "x-generated-tokens: 12\r\n")) as url:
        record = send(url, Kind.UNIQUE)
    with canned_server(whole(200, '{"generated_texts": ["a"]}', "x-generated-tokens: many\r\n")) as url:
        odd = send(url, Kind.UNIQUE)

    assert (record.output_tokens, record.tokens_counted_by) == (12, TokenSource.SERVER)
    assert (odd.error, odd.output_tokens, odd.tokens_counted_by) == (None, None, None)


def test_a_stored_answer_has_no_tokens_that_were_generated() -> None:
    with canned_server(chunked(EVENT, DONE).replace(b"\r\n", b"\r\nx-cache: HIT\r\n", 1)) as url:
        record = send(url, Kind.STREAMED)

    assert (record.error, record.cache, record.output_tokens) == (None, "HIT", None)


def test_nobody_there_is_refused_and_a_reset_is_broken() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        refused = send(f"http://127.0.0.1:{unused.getsockname()[1]}", Kind.UNIQUE)
    with canned_server(b"HTTP/1.1 200", resets=True) as url:
        broken = send(url, Kind.UNIQUE)

    assert (refused.error, refused.status) == (ErrorKind.REFUSED, None)
    assert broken.error in {ErrorKind.BROKEN, ErrorKind.MALFORMED}


def test_a_slow_answer_is_a_timeout_of_the_whole_request(tmp_path: Path) -> None:
    with timed_api(tmp_path, first_ms=1, token_ms=60_000) as api:
        record = send(api.url, Kind.STREAMED, timeout_s=4)

    assert (record.error, record.error_text, record.status) == (ErrorKind.TIMEOUT, "no whole answer in 4 s", 200)
    assert record.ended_s - record.sent_s < 40


def test_the_key_goes_along_and_a_path_is_kept(tmp_path: Path) -> None:
    with timed_api(tmp_path, key="secret") as api:
        without = send(api.url, Kind.UNIQUE)
        record = send(f"{api.url}/behind/", Kind.UNIQUE, api_key="secret")
        (first, second) = api.bodies()

    assert (without.status, without.error, record.error) == (401, ErrorKind.CLIENT, None)
    assert first.startswith("/generate {")
    assert second.startswith("/behind/generate {")
    assert json.loads(second.partition(" ")[2])["max_length"] == 4


def test_a_certificate_is_trusted_where_this_machine_trusts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = f"req -x509 -newkey rsa:2048 -nodes -keyout {tmp_path}/key -out {tmp_path}/cert -days 2 -subj /CN=scout"
    subprocess.run(
        ["openssl", *made.split(), "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    answer = whole(200, '{"generated_texts": ["a"]}')
    with canned_server(answer, tls=context) as url:
        unknown = send(url, Kind.UNIQUE)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert"))
        known = send(url, Kind.UNIQUE)

    assert unknown.error is ErrorKind.REFUSED
    assert "CERTIFICATE_VERIFY_FAILED" in str(unknown.error_text)
    assert (known.error, known.status) == (None, 200)


@pytest.mark.parametrize("url", ["127.0.0.1:2025", "ftp://a", "http://", "http://a:0", "http://a:x", "http://[", ""])
def test_an_address_that_is_none_is_named(url: str) -> None:
    with pytest.raises(InputError, match="is no address of an API"):
        ApiClient(url, connections=1, timeout_s=1, api_key=None, clock=time.monotonic)
