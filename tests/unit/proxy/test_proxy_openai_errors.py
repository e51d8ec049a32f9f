"""The OpenAI routes where a request cannot be answered: what is refused, what fails, and how it is told."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from fakes.engine_streams import Ending, Stream
from fakes.fake_engine import Behaviour, Failure, FakeEngine
from fakes.openai_requests import BODIES, CHAT, COMPLETIONS, MODEL, ask, error_of
from fakes.running_proxy import DEADLINE_S, RunningProxy, route_table, running_proxy, wait_until

BOTH = pytest.mark.parametrize("path", [CHAT, COMPLETIONS])


@BOTH
def test_another_model_is_not_found(proxy: RunningProxy, path: str) -> None:
    answer = ask(proxy, path, model="gpt-4o")

    assert answer.status_code == 404
    assert error_of(answer) == {
        "message": f"The model 'gpt-4o' does not exist; the one that is served here is '{MODEL}'",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }


REFUSED = [
    ({"n": 9}, "n", "invalid_value"),
    ({"n": 2**31}, "n", "invalid_value"),
    ({"temperature": 3}, "temperature", "invalid_value"),
    ({"max_tokens": "7"}, "max_tokens", "invalid_type"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "invalid_value"),
    ({"foo": 1}, "foo", "unknown_parameter"),
    ({"logit_bias": {"1": 1}}, "logit_bias", "unsupported_parameter"),
    ({"functions": [{}]}, "functions", "unsupported_parameter"),
    ({"messages": []}, "messages", "invalid_value"),
    ({"messages": None}, "messages", "missing_required_parameter"),
    ({"messages": [{"role": "root", "content": ""}]}, "messages[0].role", "invalid_value"),
    ({"messages": [{"content": ""}]}, "messages[0].role", "missing_required_parameter"),
    ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages[0].content[0]", "invalid_value"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://10.0.0.1"}}]}]},
        "messages[0].content[0].image_url.url",
        "invalid_value",
    ),
    ({"response_format": {"type": "json_object"}}, "response_format", "unsupported_value"),
    ({"stream": "yes"}, "stream", "invalid_type"),
]


@pytest.mark.parametrize(("fields", "param", "code"), REFUSED, ids=str)
def test_what_cannot_be_honoured_is_a_clear_400(
    proxy: RunningProxy, engine: FakeEngine, fields: dict[str, Any], param: str, code: str
) -> None:
    answer = ask(proxy, **fields)

    assert answer.status_code == 400
    error = error_of(answer)
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)
    assert engine.seen.generations == []


@pytest.mark.parametrize("fields", [{"suffix": "x"}, {"echo": True}, {"logprobs": 0}, {"best_of": 2}])
def test_what_completions_lack_is_a_clear_400(proxy: RunningProxy, fields: dict[str, Any]) -> None:
    assert error_of(ask(proxy, COMPLETIONS, **fields))["code"] == "unsupported_parameter"
    assert ask(proxy, COMPLETIONS, suffix="", echo=False, best_of=1, logprobs=None).status_code == 200


@BOTH
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"model": "\\ud800"}'])
def test_a_body_of_another_form_is_refused(proxy: RunningProxy, path: str, body: bytes) -> None:
    answer = proxy.post(path, data=body)

    assert (answer.status_code, error_of(answer)["type"]) == (400, "invalid_request_error")


@BOTH
def test_a_body_that_is_too_large_is_refused(proxy: RunningProxy, path: str) -> None:
    proxy.limit(max_body_bytes=100)

    answer = proxy.post(path, data=b"x" * 101)

    assert (answer.status_code, error_of(answer)["code"]) == (413, "request_too_large")


FAILURES = [
    (Failure.VALIDATION, 400, "invalid_request_error", None),
    (Failure.GENERATION, 500, "server_error", None),
    (Failure.GARBAGE, 500, "server_error", None),
    (Failure.NO_TEXT, 500, "server_error", None),
    (Failure.CLOSED, 503, "server_error", "model_not_loaded"),
]


@BOTH
@pytest.mark.parametrize(("failure", "expected"), [(one[0], one[1:]) for one in FAILURES], ids=str)
@pytest.mark.parametrize("stream", [False, True])
def test_an_engines_failure_is_a_status(
    proxy: RunningProxy, engine: FakeEngine, path: str, failure: Failure, expected: tuple[Any, ...], *, stream: bool
) -> None:
    engine.behaviour = Behaviour(failure=failure)

    answer = ask(proxy, path, stream=stream)

    error = error_of(answer)
    assert (answer.status_code, error["type"], error["code"]) == expected


ENDINGS = [
    (Ending.VALIDATION, (400, "`x` must be y")),
    (Ending.GENERATION, (500, "CUDA out of memory")),
    (Ending.GARBAGE, (500, "not JSON")),
    (Ending.ODD_OBJECT, (500, "not one of OpenAI's form")),
    (Ending.CUT_OFF, (500, "ended before")),
    (Ending.CLOSED, (500, "ended too early")),
]


@BOTH
@pytest.mark.parametrize(("ending", "told"), ENDINGS, ids=str)
def test_an_error_before_the_first_chunk_is_a_status_and_an_event_after_it(
    proxy: RunningProxy, engine: FakeEngine, path: str, ending: Ending, told: tuple[int, str]
) -> None:
    status, message = told
    engine.behaviour.stream = Stream(ending=ending)
    before = ask(proxy, path, stream=True)
    proxy.wait_for("active")
    engine.behaviour.stream = Stream(ending=ending, ends_after=2)
    after = ask(proxy, path, stream=True)

    assert before.status_code == status
    assert message in error_of(before)["message"]
    *events, last, rest = after.text.split("\n\n")
    assert (after.status_code, len(events), rest) == (200, 2, "")
    assert message in json.loads(last.removeprefix("data: "))["error"]["message"]


def test_one_choice_that_fails_ends_them_all(proxy: RunningProxy, engine: FakeEngine) -> None:
    engine.behaviour = Behaviour(failure=Failure.GENERATION, failing_after=1, delay_s=0.5, delay_of_first_s=30)

    answer = ask(proxy, n=2)

    assert answer.status_code == 500
    wait_until(lambda: engine.seen.cancelled == 1, "the other one is cancelled")


NO_ROOM = "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 1024. Given: 30 and 1000"


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_that_leaves_less_room_than_max_tokens_gets_what_is_left(
    proxy: RunningProxy, engine: FakeEngine, *, stream: bool
) -> None:
    engine.behaviour.refuse = lambda body: NO_ROOM if "max_tokens" in body else None

    answer = ask(proxy, max_completion_tokens=1000, stream=stream)

    assert answer.status_code == 200
    assert [body.get("max_tokens") for body in engine.seen.generations] == [1000, None]


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_that_leaves_no_room_says_so(proxy: RunningProxy, engine: FakeEngine, *, stream: bool) -> None:
    engine.behaviour.refuse = lambda _: NO_ROOM

    answer = ask(proxy, max_tokens=1000, stream=stream)

    assert (answer.status_code, error_of(answer)["code"]) == (400, "context_length_exceeded")


def test_a_completion_is_cut_to_the_room_behind_its_prompt(proxy: RunningProxy, engine: FakeEngine) -> None:
    prompt = "word " * 200

    assert ask(proxy, COMPLETIONS, prompt=prompt, max_tokens=1000).status_code == 200
    refused = ask(proxy, COMPLETIONS, prompt="word " * 2_000)

    assert [body["max_tokens"] for body in engine.seen.generations] == [1024 - 201]
    assert (refused.status_code, error_of(refused)["code"]) == (400, "context_length_exceeded")


@BOTH
def test_a_client_that_goes_away_frees_the_engine(proxy: RunningProxy, engine: FakeEngine, path: str) -> None:
    engine.behaviour.stream = Stream(ending=Ending.SILENCE, ends_after=1)
    body = {**BODIES[path], "stream": True, "n": 2}
    with requests.post(proxy.url + path, json=body, stream=True, timeout=DEADLINE_S) as answer:
        # The connection ends with the generator that reads it.
        pieces = answer.iter_content(1)
        assert next(pieces)
        wait_until(lambda: engine.seen.in_flight == 2, "both choices are generated")

    wait_until(lambda: engine.seen.cancelled == 2, "the engine is free")


def test_a_trace_and_the_requests_id_go_on(proxy: RunningProxy, engine: FakeEngine) -> None:
    trace = f"00-{'1' * 32}-{'2' * 16}-01"

    proxy.post(CHAT, json=BODIES[CHAT], headers={"traceparent": trace, "X-Request-ID": "mine"})

    (head,) = (head.lower() for head in engine.seen.heads)
    assert f"traceparent: {trace}\r\n" in head
    assert "x-request-id: mine\r\n" in head


def test_without_an_engine_every_route_says_so(tmp_path: Path) -> None:
    with running_proxy(tmp_path / "routes.json", route_table()) as proxy:
        answers = [ask(proxy, path, stream=stream) for path in BODIES for stream in (False, True)]

    assert [(answer.status_code, error_of(answer)["code"]) for answer in answers] == [(503, "model_not_loaded")] * 4


def test_the_deadline_is_openais_too(proxy: RunningProxy, engine: FakeEngine) -> None:
    proxy.limit(deadline_s=0.2)
    engine.behaviour.delay_s = 60

    answer = ask(proxy)

    assert (answer.status_code, error_of(answer)["code"]) == (504, "deadline_exceeded")


def test_a_path_that_is_none_has_the_form_of_its_family(proxy: RunningProxy) -> None:
    nothing, wrong = proxy.get("/v1/nothing"), proxy.get(CHAT)

    assert (nothing.status_code, error_of(nothing)["message"]) == (404, "Not Found")
    assert (wrong.status_code, error_of(wrong)["type"]) == (405, "invalid_request_error")
    assert wrong.headers["Allow"] == "POST"


@BOTH
def test_many_clients_that_go_away_at_any_time_leave_nothing_behind(
    proxy: RunningProxy, engine: FakeEngine, path: str
) -> None:
    engine.behaviour.stream = Stream(tokens=("x",) * 40, delay_s=0.01)
    tasks_before = proxy.samples()["scout_proxy_asyncio_tasks",]

    body = json.dumps({**BODIES[path], "stream": True, "n": 2}).encode()
    request = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (path.encode(), len(body), body)

    def leave(after_s: float) -> None:
        with proxy.connect() as connection:
            connection.sendall(request)
            time.sleep(after_s)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(leave, [0.002 * step for step in range(1, 41)]))

    wait_until(lambda: engine.seen.in_flight == 0, "the engine is free")
    wait_until(lambda: proxy.upstream("engine-0")["in_flight"] == 0, "its places are free")
    wait_until(lambda: proxy.samples()["scout_proxy_asyncio_tasks",] <= tasks_before + 1, "no task is left")
