"""The response cache as a user sees it."""

import threading
from functools import partial
from typing import Any

import pytest
import requests

from fakes.api_keys import api_key, api_keys
from fakes.engine_streams import Ending, Stream
from fakes.engine_waits import Gate
from fakes.fake_engine import Behaviour, Failure, FakeEngine
from fakes.raw_http import RawConnection, ask_at_once, generate_request
from fakes.running_proxy import DEADLINE_S, RunningProxy, wait_until
from scout_proxy.route_table import (
    Cache,
    CachePolicy,
    CacheScope,
    Hold,
    Limits,
    Serving,
    Upstream,
    UpstreamState,
)


@pytest.fixture
def cached(proxy: RunningProxy) -> RunningProxy:
    proxy.configure(cache=Cache())
    return proxy


def outcome(proxy: RunningProxy, headers: dict[str, str] | None = None, **fields: object) -> str:
    answer = proxy.post(json={"prompt": "p", **fields}, headers=headers)
    assert answer.status_code == 200
    return str(answer.headers["X-Cache"])


def test_a_repeated_request_gets_the_stored_answer_byte_by_byte(cached: RunningProxy, engine: FakeEngine) -> None:
    first, second, third = (cached.generate(prompt="你好", num_return_sequences=3) for _ in range(3))

    assert [answer.headers["X-Cache"] for answer in (first, second, third)] == ["MISS", "HIT", "HIT"]
    assert first.content == second.content == third.content
    assert len(set(first.json()["generated_texts"])) == len(engine.seen.generations) == 3
    assert "Age" not in first.headers
    assert second.headers["Age"].isdigit()
    assert "Server-Timing" in first.headers
    assert "Server-Timing" not in second.headers


def test_an_answer_says_how_many_tokens_were_generated_for_it_and_a_stored_one_that_none_were(
    cached: RunningProxy, engine: FakeEngine
) -> None:
    first, again = (cached.generate(prompt="counted", num_return_sequences=3) for _ in range(2))
    streamed = cached.generate(prompt="streamed", stream=True)
    engine.behaviour.counts = ("3", "")
    unknown = cached.generate(prompt="not counted")

    assert first.headers["X-Generated-Tokens"] == "15"
    assert all("X-Generated-Tokens" not in one.headers for one in (again, streamed, unknown))


@pytest.mark.parametrize(
    "body",
    [
        '{"max_length": 512, "prompt": "p", "seed": 7}',
        '\n{ "seed" :7,\t"prompt":"p" }  ',
        '{"prompt": "\\u0070", "seed": 7.0, "max_length": 512.0}',
        '{"prompt": "x", "seed": 7, "prompt": "p"}',
        '{"prompt": "p", "seed": 7, "max_length": null, "top_k": null, "stop": null, "stream": null}',
        '{"prompt": "p", "seed": 7, "temperature": 0.70, "top_p": 9e-1, "top_k": 50, "num_return_sequences": 1.0}',
        '{"prompt": "p", "seed": 7, "stream": false}',
    ],
)
def test_the_same_request_written_differently_is_a_hit(cached: RunningProxy, engine: FakeEngine, body: str) -> None:
    first = cached.generate(prompt="p", seed=7)
    second = ask_at_once(cached.port, generate_request(body.encode()))

    assert second.headers["x-cache"] == "HIT"
    assert second.json()["generated_texts"] == first.json()["generated_texts"]
    assert len(engine.seen.generations) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"prompt": "p "},
        {"max_length": 511},
        {"temperature": 0.71},
        {"temperature": 0},
        {"top_p": 0.91},
        {"top_k": 51},
        {"num_return_sequences": 2},
        {"seed": 8},
        {"seed": None},
        {"stop": ["x"]},
        {"stop": ["x", "y"]},
        {"repetition_penalty": 1.1},
    ],
)
def test_whatever_can_change_the_answer_is_part_of_the_key(cached: RunningProxy, changed: dict[str, object]) -> None:
    fields: dict[str, object] = {"prompt": "p", "seed": 7}
    cached.post(json=fields)

    assert cached.post(json=fields | changed).headers["X-Cache"] == "MISS"
    assert cached.post(json=fields | changed).headers["X-Cache"] == "HIT"
    assert cached.post(json=fields).headers["X-Cache"] == "HIT"


def test_stop_strings_in_another_order_are_another_request(cached: RunningProxy) -> None:
    assert [outcome(cached, stop=stop) for stop in (["x", "y"], ["y", "x"], ["x", "y"])] == ["MISS", "MISS", "HIT"]


@pytest.mark.parametrize(
    ("policy", "sampled", "seeded", "greedy"),
    [
        (CachePolicy.ALL, "HIT", "HIT", "HIT"),
        (CachePolicy.DETERMINISTIC, "BYPASS", "HIT", "HIT"),
        (CachePolicy.OFF, "BYPASS", "BYPASS", "BYPASS"),
    ],
)
def test_the_policy_says_which_answers_are_stored(
    proxy: RunningProxy, policy: CachePolicy, sampled: str, seeded: str, greedy: str
) -> None:
    proxy.configure(cache=Cache(policy=policy))
    kinds: list[dict[str, Any]] = [{}, {"seed": 1}, {"temperature": 0}]
    for kind in kinds:
        outcome(proxy, **kind)

    assert [outcome(proxy, **kind) for kind in kinds] == [sampled, seeded, greedy]
    assert proxy.status()["cache"]["policy"] == policy


def test_several_samples_are_served_in_turn(proxy: RunningProxy, engine: FakeEngine) -> None:
    proxy.configure(cache=Cache(samples=3))
    answers = [proxy.generate() for _ in range(12)]
    texts = [answer.json()["generated_texts"][0] for answer in answers]

    assert [answer.headers["X-Cache"] for answer in answers] == ["MISS"] * 3 + ["HIT"] * 9
    assert len(set(texts[:3])) == len(engine.seen.generations) == 3
    assert all(sorted(texts[begin : begin + 3]) == sorted(texts[:3]) for begin in (3, 6, 9))


def test_one_sample_is_enough_of_an_answer_that_is_always_the_same(proxy: RunningProxy) -> None:
    proxy.configure(cache=Cache(samples=3))

    assert [outcome(proxy, seed=1) for _ in range(3)] == ["MISS", "HIT", "HIT"]


def test_no_cache_gets_a_fresh_answer_which_is_stored(cached: RunningProxy) -> None:
    first = cached.generate()
    fresh = cached.post(json={"prompt": "hello"}, headers={"Cache-Control": "no-cache"})
    third = cached.generate()

    assert [answer.headers["X-Cache"] for answer in (fresh, third)] == ["BYPASS", "HIT"]
    assert first.json() != fresh.json() == third.json()


def test_no_store_leaves_nothing_behind(cached: RunningProxy, engine: FakeEngine) -> None:
    said = {"Cache-Control": "no-store"}

    assert [outcome(cached, said), outcome(cached), outcome(cached, said)] == ["BYPASS", "MISS", "BYPASS"]
    assert cached.status()["cache"]["entries"] == 1
    assert len(engine.seen.generations) == 3


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"Cache-Control": "max-age=3600"}, "HIT"),
        ({"Cache-Control": "max-age=0"}, "MISS"),
        ({"Cache-Control": "max-age=later"}, "BYPASS"),
        ({"Pragma": "no-cache"}, "BYPASS"),
        ({"Pragma": "no-cache", "Cache-Control": "max-age=3600"}, "HIT"),
        ({"Cache-Control": "no-transform"}, "HIT"),
    ],
)
def test_a_client_says_what_it_wants_of_the_cache(cached: RunningProxy, said: dict[str, str], expected: str) -> None:
    outcome(cached)

    assert outcome(cached, said) == expected


def test_two_lines_of_one_header_are_one_list(cached: RunningProxy) -> None:
    body = b'{"prompt": "p"}'
    ask_at_once(cached.port, generate_request(body))
    answer = ask_at_once(cached.port, generate_request(body, "Cache-Control: no-cache", "Cache-Control: max-age=3600"))

    assert answer.headers["x-cache"] == "BYPASS"


def test_an_answer_that_is_too_old_is_generated_anew(proxy: RunningProxy) -> None:
    proxy.configure(cache=Cache(ttl_s=1e-9))

    assert [outcome(proxy), outcome(proxy)] == ["MISS", "MISS"]


def test_the_store_is_bounded(proxy: RunningProxy) -> None:
    proxy.configure(cache=Cache(max_entries=2))
    for prompt in ("a", "b", "a", "c"):
        outcome(proxy, prompt=prompt)

    assert [outcome(proxy, prompt=prompt) for prompt in ("a", "c", "b")] == ["HIT", "HIT", "MISS"]
    assert proxy.status()["cache"]["entries"] == 2


@pytest.mark.parametrize(
    ("scope", "expected"), [(CacheScope.SHARED, ["MISS", "HIT", "HIT"]), (CacheScope.KEY, ["MISS", "MISS", "HIT"])]
)
def test_answers_are_shared_between_keys_unless_the_scope_is_the_key(
    proxy: RunningProxy, scope: CacheScope, expected: list[str]
) -> None:
    keys = api_keys(api_key("alice", "alice-key"), api_key("bob", "bob-key"))
    proxy.configure(keys=keys, cache=Cache(scope=scope))
    asked = [
        ask_at_once(proxy.port, generate_request(b'{"prompt": "p"}', f"Authorization: Bearer {key}"))
        for key in ("alice-key", "bob-key", "bob-key")
    ]

    assert [answer.headers["x-cache"] for answer in asked] == expected
    assert (asked[0].body == asked[1].body) == (scope is CacheScope.SHARED)


@pytest.mark.parametrize("failure", [Failure.GENERATION, Failure.TRUNCATED, Failure.GARBAGE, Failure.VALIDATION])
def test_an_error_is_not_stored(cached: RunningProxy, engine: FakeEngine, failure: Failure) -> None:
    engine.behaviour = Behaviour(failure=failure, proof_failure=Failure.NONE)
    assert cached.generate().status_code in {422, 500}
    engine.behaviour = Behaviour()
    cached.wait_for("active")

    assert [cached.generate().headers["X-Cache"] for _ in range(2)] == ["MISS", "HIT"]


@pytest.mark.parametrize("ending", [Ending.CUT_OFF, Ending.GENERATION, Ending.CLOSED, Ending.GARBAGE])
def test_a_stream_that_breaks_off_is_not_stored(cached: RunningProxy, engine: FakeEngine, ending: Ending) -> None:
    engine.behaviour = Behaviour(stream=Stream(ending=ending, ends_after=2))
    broken = cached.generate(stream=True)
    assert "event: error" in broken.text
    engine.behaviour = Behaviour(stream=Stream())
    cached.wait_for("active")
    whole = cached.generate(stream=True)

    assert (whole.headers["X-Cache"], cached.status()["cache"]["entries"]) == ("MISS", 1)
    assert "event: done" in whole.text


def test_a_partial_answer_is_not_stored(cached: RunningProxy, engine: FakeEngine) -> None:
    engine.behaviour = Behaviour(failure=Failure.GENERATION, failing_after=2, proof_failure=Failure.NONE)

    assert cached.generate(num_return_sequences=3).status_code == 500
    assert cached.status()["cache"]["entries"] == 0


def test_another_model_finds_nothing_of_the_old_one(cached: RunningProxy) -> None:
    assert [outcome(cached), outcome(cached)] == ["MISS", "HIT"]
    cached.configure(serving=Serving(model_id="fake/model", engine="fake", quantization="4bit"))
    assert [outcome(cached), outcome(cached)] == ["MISS", "HIT"]
    cached.use_template(chat_template="{{ messages[0].content }}!")
    assert [outcome(cached), outcome(cached)] == ["MISS", "HIT"]


def test_an_answer_under_way_while_the_model_changes_is_given_and_not_stored(
    cached: RunningProxy, engine: FakeEngine, gate: Gate
) -> None:
    engine.behaviour = Behaviour(gate=gate)
    answers: list[requests.Response] = []
    asking = threading.Thread(target=lambda: answers.append(cached.generate()))
    asking.start()
    wait_until(lambda: engine.seen.in_flight == 1, "the generation is under way")
    cached.configure(serving=Serving(model_id="fake/model", engine="fake", revision="new"))
    gate.open()
    asking.join(DEADLINE_S)

    assert answers[0].status_code == 200
    assert cached.status()["cache"]["entries"] == 0
    assert cached.generate().headers["X-Cache"] == "MISS"


def test_a_known_body_is_refused_when_the_limits_refuse_it(cached: RunningProxy) -> None:
    request = generate_request(b'{"prompt": "p", "num_return_sequences": 2}')
    assert [ask_at_once(cached.port, request).headers["x-cache"] for _ in range(2)] == ["MISS", "HIT"]
    cached.configure(limits=Limits(max_num_return_sequences=1))

    assert ask_at_once(cached.port, request).status == 422


def test_a_known_body_is_generated_anew_where_the_policy_says_so(cached: RunningProxy) -> None:
    request = generate_request(b'{"prompt": "p"}')
    assert [ask_at_once(cached.port, request).headers["x-cache"] for _ in range(2)] == ["MISS", "HIT"]
    cached.configure(cache=Cache(policy=CachePolicy.DETERMINISTIC))

    assert [ask_at_once(cached.port, request).headers["x-cache"] for _ in range(2)] == ["BYPASS", "BYPASS"]


def test_the_figures_are_on_status(cached: RunningProxy) -> None:
    before = cached.status()["cache"]
    for _ in range(3):
        outcome(cached)
    outcome(cached, {"Cache-Control": "no-cache"})
    after = cached.status()["cache"]

    counted = {name: after[name] - before[name] for name in ("hits", "misses", "coalesced", "bypassed", "entries")}
    assert counted == {"hits": 2, "misses": 1, "coalesced": 0, "bypassed": 1, "entries": 1}
    assert after["size_bytes"] > 0


@pytest.mark.parametrize("fields", [{}, {"stream": True}, {"num_return_sequences": 3}], ids=str)
def test_what_is_refused_where_no_engine_takes_it_is_no_miss(
    cached: RunningProxy, engine: FakeEngine, fields: dict[str, Any]
) -> None:
    outcome(cached, prompt="stored")
    declare(cached, engine, UpstreamState.STANDBY)
    before = counted(cached)
    refused = [cached.generate(**fields), cached.post(json={"prompt": "p"}, headers={"Cache-Control": "no-store"})]
    without_engine = counted(cached)
    stored = outcome(cached, prompt="stored")
    declare(cached, engine, UpstreamState.RUNNING)
    cached.wait_for("active")

    assert [answer.status_code for answer in refused] == [503, 503]
    assert without_engine == before
    assert (stored, outcome(cached, **fields)) == ("HIT", "MISS")
    assert counted(cached) == before | {"hit": before["hit"] + 1, "miss": before["miss"] + 1}


def test_what_shares_a_generation_that_is_refused_is_not_counted_either(
    cached: RunningProxy, engine: FakeEngine
) -> None:
    declare(cached, engine, UpstreamState.STANDBY, hold=Hold(max_wait_s=DEADLINE_S))
    before = counted(cached)
    with RawConnection(cached.port) as first, RawConnection(cached.port) as second:
        for number, connection in enumerate((first, second), 1):
            connection.send(generate_request(b'{"prompt": "p"}'))
            wait_until(partial(holds, cached, number), "the request is held")
        cached.configure(hold=None)
        statuses = [first.answer().status, second.answer().status]

    assert statuses == [503, 503]
    assert counted(cached) == before


def declare(proxy: RunningProxy, engine: FakeEngine, state: UpstreamState, **table: object) -> None:
    proxy.configure(upstreams=(Upstream(id="engine-0", url=engine.url, state=state),), **table)


def counted(proxy: RunningProxy) -> dict[str, float]:
    seen = proxy.samples()
    return {word: seen["scout_proxy_cache_requests_total", word] for word in ("hit", "miss", "bypass", "coalesced")}


def holds(proxy: RunningProxy, count: int) -> bool:
    # Whoever asks is in flight too.
    return proxy.samples()["scout_proxy_requests_in_flight",] == count + 1
