"""TGI's native routes: what goes through as it is, and what becomes of errors."""

import json
import socket
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests

from fakes.engine_streams import Ending, Stream
from fakes.engine_waits import Gate
from fakes.fake_engine import Behaviour, Failure, FakeEngine, fake_engine
from fakes.running_proxy import DEADLINE_S, RunningProxy, route_table, running_proxy, wait_until
from scout_proxy.route_table import Limits

BODY = {"inputs": "<|user|> hi", "parameters": {"max_new_tokens": 4, "details": True, "anything": [1]}}
Route = tuple[str, dict[str, Any]]
STREAMS: list[Route] = [("/generate_stream", {}), ("/", {"stream": True})]


def events_of(answer: requests.Response) -> list[Any]:
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    lines = [line for line in answer.text.split("\n\n") if line]
    assert all(line.startswith("data: ") for line in lines), answer.text
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_a_request_and_its_answer_go_through_as_they_are(proxy: RunningProxy, engine: FakeEngine) -> None:
    engine.behaviour.details = {"finish_reason": "length"}

    answer = proxy.post("/", json=BODY)

    assert (answer.status_code, answer.json()) == (
        200,
        [{"generated_text": "text None", "details": {"finish_reason": "length"}}],
    )
    assert engine.seen.generations == [BODY]
    assert answer.headers["x-prompt-tokens"] == "3"


@pytest.mark.parametrize(("path", "fields"), STREAMS)
def test_a_stream_goes_through_as_it_is(
    proxy: RunningProxy, engine: FakeEngine, path: str, fields: dict[str, Any]
) -> None:
    engine.behaviour.stream = Stream(tokens=("a", "\ufffd", "<eot>"))

    events = events_of(proxy.post(path, json={**BODY, **fields}))

    assert [event["token"]["text"] for event in events] == ["a", "\ufffd", "<eot>"]
    assert [event["index"] for event in events] == [1, 2, 3]
    assert events[-1]["generated_text"] == "a\ufffd"
    assert engine.seen.generations == [{**BODY, **fields}]


def test_prompts_are_never_templated(proxy: RunningProxy, engine: FakeEngine) -> None:
    proxy.use_template(chat_template="<bos>{{ messages[0].content }}")

    proxy.post("/", json=BODY)
    proxy.post("/generate_stream", json=BODY)

    assert [body["inputs"] for body in engine.seen.generations] == ["<|user|> hi"] * 2


def test_info_is_the_engines_own_with_the_least_limits(tmp_path: Path) -> None:
    small, large = Behaviour(max_input_tokens=99, max_total_tokens=100), Behaviour()
    with (
        fake_engine(small) as one,
        fake_engine(large) as other,
        running_proxy(tmp_path / "routes.json", route_table(one.url, other.url)) as proxy,
    ):
        proxy.wait_until_observed(engine_0="serving", engine_1="serving")
        info = proxy.get("/info").json()

    assert (info["max_input_tokens"], info["max_total_tokens"]) == (99, 100)
    assert (info["model_id"], info["version"], info["max_stop_sequences"]) == ("fake/model", "3.3.6-dev0", 4)


def test_without_an_engine_every_route_says_so_in_its_family(tmp_path: Path) -> None:
    expected = {"error": "Model or tokenizer not loaded", "error_type": "healthcheck"}
    with running_proxy(tmp_path / "routes.json", route_table()) as proxy:
        answers = [proxy.get("/info"), proxy.post("/", json=BODY), proxy.post("/generate_stream", json=BODY)]

    assert [(answer.status_code, answer.json()) for answer in answers] == [(503, expected)] * 3
    assert all("Retry-After" in answer.headers for answer in answers)


def test_tokens_are_the_engines(proxy: RunningProxy) -> None:
    answer = proxy.post("/tokenize", json={"inputs": "a b"})

    assert [token["text"] for token in answer.json()] == ["<bos>", "a", "b"]


class Told(NamedTuple):
    """What a client is told."""

    status: int
    kind: str
    message: str = ""


FAILURES = [
    (Failure.VALIDATION, Told(422, "validation", "Input validation error: `x` must be y")),
    (Failure.GENERATION, Told(424, "generation", "Request failed during generation: CUDA out of memory")),
    (Failure.PLAIN_422, Told(422, "validation", "Failed to deserialize the JSON body into the target type")),
    (Failure.NOT_HTTP, Told(424, "generation", "the engine's answer is not HTTP")),
    (Failure.CLOSED, Told(503, "healthcheck", "Model or tokenizer not loaded")),
]


@pytest.mark.parametrize(("failure", "told"), FAILURES, ids=str)
@pytest.mark.parametrize("route", [("/", {}), *STREAMS], ids=str)
def test_a_failure_has_tgis_status_and_body(
    proxy: RunningProxy, engine: FakeEngine, route: Route, failure: Failure, told: Told
) -> None:
    engine.behaviour = Behaviour(failure=failure)

    answer = proxy.post(route[0], json={**BODY, **route[1]})

    assert (answer.status_code, answer.json()["error_type"]) == (told.status, told.kind)
    assert answer.json()["error"].startswith(told.message)
    assert answer.json().keys() == {"error", "error_type"}


ENDINGS = [
    (Ending.VALIDATION, Told(422, "validation")),
    (Ending.GENERATION, Told(424, "generation")),
    (Ending.GARBAGE, Told(424, "generation")),
    (Ending.CUT_OFF, Told(500, "incomplete_generation")),
    (Ending.CLOSED, Told(500, "incomplete_generation")),
]


@pytest.mark.parametrize(("ending", "told"), ENDINGS, ids=str)
@pytest.mark.parametrize("route", STREAMS, ids=str)
def test_an_error_before_the_first_token_is_a_status(
    proxy: RunningProxy, engine: FakeEngine, route: Route, ending: Ending, told: Told
) -> None:
    engine.behaviour.stream = Stream(ending=ending)

    answer = proxy.post(route[0], json={**BODY, **route[1]})

    assert (answer.status_code, answer.json()["error_type"]) == (told.status, told.kind)


@pytest.mark.parametrize(("ending", "told"), ENDINGS, ids=str)
def test_an_error_after_it_is_an_event_and_the_end(
    proxy: RunningProxy, engine: FakeEngine, ending: Ending, told: Told
) -> None:
    engine.behaviour.stream = Stream(ending=ending, ends_after=2)

    answer = proxy.post("/generate_stream", json=BODY)

    events = events_of(answer)
    assert (answer.status_code, [event.get("token", {}).get("text") for event in events[:-1]]) == (
        200,
        [" one", " two"],
    )
    assert (events[-1].keys(), events[-1]["error_type"]) == ({"error", "error_type"}, told.kind)


@pytest.mark.parametrize("route", [("/", {}), *STREAMS], ids=str)
def test_a_request_that_may_not_wait_for_an_engine_at_its_limit_is_told_so(
    tmp_path: Path, gate: Gate, route: Route
) -> None:
    with (
        fake_engine(Behaviour(gate=gate, max_concurrent_requests=1)) as engine,
        running_proxy(tmp_path / "routes.json", route_table(engine.url, limits=Limits(max_waiting=0))) as proxy,
    ):
        proxy.wait_for("active")
        with begin_stream(proxy):
            wait_until(lambda: engine.seen.in_flight == 1, "the engine's one place is taken")
            answer = proxy.post(route[0], json={**BODY, **route[1]})

    assert (answer.status_code, answer.json()["error_type"]) == (429, "overloaded")
    assert "Retry-After" in answer.headers


def test_an_engine_at_its_limit_is_asked_again(proxy: RunningProxy, engine: FakeEngine) -> None:
    engine.behaviour.stream = Stream(ending=Ending.OVERLOADED)
    with begin_stream(proxy) as connection:
        wait_until(lambda: len(engine.seen.generations) > 1, "it is asked again")
        engine.behaviour.stream = Stream()

        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_what_fails_before_the_first_token_is_done_elsewhere(tmp_path: Path) -> None:
    failing = Behaviour(stream=Stream(ending=Ending.CUT_OFF))
    with (
        fake_engine(failing) as one,
        fake_engine() as other,
        running_proxy(tmp_path / "routes.json", route_table(one.url, other.url)) as proxy,
    ):
        proxy.wait_until_observed(engine_0="serving", engine_1="serving")
        for _ in range(2):
            assert len(events_of(proxy.post("/generate_stream", json=BODY))) == 3


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"inputs": 1}',
        b'{"inputs": ""}',
        b'{"inputs": "\\ud800"}',
        b'{"inputs": "a", "parameters": []}',
        b'{"inputs": "a", "stream": "yes"}',
        b"\xff",
    ],
)
@pytest.mark.parametrize("path", ["/", "/generate_stream", "/tokenize"])
def test_a_body_of_another_form_is_refused(proxy: RunningProxy, engine: FakeEngine, path: str, body: bytes) -> None:
    answer = proxy.post(path, data=body)

    assert (answer.status_code, answer.json()["error_type"]) == (422, "validation")
    assert engine.seen.generations == []


def test_a_body_that_is_too_large_is_refused(proxy: RunningProxy) -> None:
    proxy.limit(max_body_bytes=100)

    answer = proxy.post("/", data=b"x" * 101)

    assert (answer.status_code, answer.json()["error_type"]) == (413, "validation")


def test_the_deadline_is_a_status_before_the_first_token_and_an_event_after_it(
    proxy: RunningProxy, engine: FakeEngine
) -> None:
    proxy.limit(deadline_s=1)
    engine.behaviour.stream = Stream(ending=Ending.SILENCE)
    before = proxy.post("/generate_stream", json=BODY)
    engine.behaviour.stream = Stream(ending=Ending.SILENCE, ends_after=1)
    # On a busy machine the first token too can come after the deadline, but not each time.
    tries = (proxy.post("/generate_stream", json=BODY) for _ in range(10))
    after = next((answer for answer in tries if answer.status_code != before.status_code), before)

    assert (before.status_code, before.json()["error_type"]) == (504, "timeout")
    assert [event.get("error_type") for event in events_of(after)] == [None, "timeout"]
    wait_until(lambda: engine.seen.in_flight == 0, "the engine is free")


def test_a_trace_and_the_requests_id_go_on(proxy: RunningProxy, engine: FakeEngine) -> None:
    trace = f"00-{'1' * 32}-{'2' * 16}-01"

    proxy.post("/", json=BODY, headers={"traceparent": trace, "X-Request-ID": "mine", "Authorization": "Bearer x"})

    (head,) = (head.lower() for head in engine.seen.heads)
    assert f"traceparent: {trace}\r\n" in head
    assert "x-request-id: mine\r\n" in head
    assert "authorization" not in head


def begin_stream(proxy: RunningProxy, *, receive_bytes: int | None = None) -> socket.socket:
    """Ask for a stream on a bare connection."""
    connection = socket.socket()
    if receive_bytes is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.settimeout(DEADLINE_S)
    connection.connect(("127.0.0.1", proxy.port))
    body = json.dumps(BODY).encode()
    connection.sendall(b"POST /generate_stream HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    return connection


@pytest.mark.parametrize("after", [0, 1])
def test_a_client_that_goes_away_frees_the_engine(proxy: RunningProxy, engine: FakeEngine, after: int) -> None:
    engine.behaviour.stream = Stream(ending=Ending.SILENCE, ends_after=after)
    with begin_stream(proxy) as connection:
        wait_until(lambda: engine.seen.in_flight == 1, "the engine works")
        if after:
            assert connection.recv(10)

    wait_until(lambda: engine.seen.cancelled == 1, "the engine is free")
    wait_until(lambda: proxy.upstream("engine-0")["in_flight"] == 0, "its place is free")


def test_a_client_that_reads_slowly_holds_the_engine_back(proxy: RunningProxy, engine: FakeEngine) -> None:
    engine.behaviour.stream = Stream(ending=Ending.ENDLESS)
    with begin_stream(proxy, receive_bytes=4096) as connection:
        wait_until(lambda: engine.seen.written_bytes > 0, "the engine writes")
        settled, before = 0.0, -1
        while settled < 0.5:
            time.sleep(0.05)
            connection.recv(1)
            settled = settled + 0.05 if engine.seen.written_bytes == before else 0.0
            before = engine.seen.written_bytes

        # What the kernel keeps for two connections, and no more: nothing of it is the proxy's.
        assert before < 40_000_000
        assert proxy.get("/health").status_code == 200

    wait_until(lambda: engine.seen.cancelled == 1, "the engine is free")
