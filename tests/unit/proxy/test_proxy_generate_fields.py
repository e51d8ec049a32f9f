"""The fields of `/generate` beyond the documented ones: `seed`, `stop`, `repetition_penalty`, `stream`."""

from typing import Any

import pytest

from fakes.fake_engine import Behaviour, FakeEngine
from fakes.generate_events import read_events
from fakes.running_proxy import RunningProxy

_DOCUMENTED = ["prompt", "max_length", "temperature", "top_p", "top_k", "num_return_sequences"]


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"seed": 7},
        {"stop": ["a", "b"]},
        {"stop": []},
        {"repetition_penalty": 1.25},
        {"stream": False},
        {"seed": 0, "stop": ["x"], "repetition_penalty": 1.0, "stream": False},
    ],
)
def test_what_was_sent_is_echoed_and_nothing_else(proxy: RunningProxy, sent: dict[str, Any]) -> None:
    echo = proxy.generate(**sent).json()["parameters"]

    assert list(echo) == [*_DOCUMENTED, *sent]
    assert {name: echo[name] for name in sent} == sent


def test_a_stream_echoes_that_it_is_one(proxy: RunningProxy) -> None:
    done = read_events(proxy.generate(stream=True, seed=1).content)[-1]

    assert list(done.payload["parameters"]) == [*_DOCUMENTED, "seed", "stream"]
    assert done.payload["parameters"]["stream"] is True


def test_null_is_as_if_it_was_not_sent(proxy: RunningProxy, engine: FakeEngine) -> None:
    answer = proxy.generate(seed=None, stop=None, repetition_penalty=None, stream=None)

    assert list(answer.json()["parameters"]) == _DOCUMENTED
    parameters = engine.seen.generations[0]["parameters"]
    assert "stop" not in parameters
    assert "repetition_penalty" not in parameters


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"seed": -1}, ["seed"]),
        ({"seed": 2**31}, ["seed"]),
        ({"seed": 1.5}, ["seed"]),
        ({"seed": "1"}, ["seed"]),
        ({"seed": True}, ["seed"]),
        ({"stop": "x"}, ["stop"]),
        ({"stop": [""]}, ["stop", 0]),
        ({"stop": ["x", 1]}, ["stop", 1]),
        ({"stop": {}}, ["stop"]),
        ({"repetition_penalty": 0}, ["repetition_penalty"]),
        ({"repetition_penalty": -1.0}, ["repetition_penalty"]),
        ({"repetition_penalty": "1"}, ["repetition_penalty"]),
        ({"stream": 1}, ["stream"]),
        ({"stream": "true"}, ["stream"]),
        ({"stop": ["a", "b", "c", "d", "e"]}, ["stop"]),
    ],
)
def test_a_wrong_value_is_a_422_that_names_the_field(
    proxy: RunningProxy, engine: FakeEngine, sent: dict[str, Any], field: list[str | int]
) -> None:
    answer = proxy.generate(**sent)

    assert answer.status_code == 422
    assert [item["loc"] for item in answer.json()["detail"]] == [["body", *field]]
    assert engine.seen.generations == []


def test_more_stop_strings_than_the_engine_takes_are_named(proxy: RunningProxy) -> None:
    (item,) = proxy.generate(stop=["a", "b", "c", "d", "e"], stream=True).json()["detail"]

    assert item["msg"] == "The engine takes at most 4 stop strings, got 5"


@pytest.mark.parametrize(
    ("seed", "seeds"), [(7, [7, 8, 9]), (0, [0, 1, 2]), (2**31 - 2, [2**31 - 2, 2**31 - 1, 0]), (7.0, [7, 8, 9])]
)
def test_each_sequence_has_a_seed_that_follows_the_requests_own(
    proxy: RunningProxy, engine: FakeEngine, seed: float, seeds: list[int]
) -> None:
    texts = proxy.generate(seed=seed, num_return_sequences=3).json()["generated_texts"]

    assert texts == [f"text {one}" for one in seeds]
    assert sorted(sent["parameters"]["seed"] for sent in engine.seen.generations) == sorted(seeds)


def test_a_seed_means_nothing_where_nothing_is_drawn(proxy: RunningProxy, engine: FakeEngine) -> None:
    answer = proxy.generate(seed=7, temperature=0)

    assert answer.json()["parameters"]["seed"] == 7
    assert "seed" not in engine.seen.generations[0]["parameters"]


def test_without_a_seed_every_request_has_another_one(proxy: RunningProxy, engine: FakeEngine) -> None:
    for _ in range(5):
        proxy.generate(num_return_sequences=4)

    assert len({sent["parameters"]["seed"] for sent in engine.seen.generations}) == 20


@pytest.mark.parametrize(
    ("stop", "text"), [(["three"], " one two "), (["two", "one"], " "), (["four"], " one two three")]
)
def test_the_text_ends_before_the_first_stop_string(
    proxy: RunningProxy, engine: FakeEngine, stop: list[str], text: str
) -> None:
    engine.behaviour = Behaviour(text=lambda _: " one two three")
    whole = proxy.generate(stop=stop).json()
    streamed = read_events(proxy.generate(stop=stop, stream=True).content)[-1].payload

    assert whole["generated_texts"] == streamed["generated_texts"] == [text]
    assert [sent["parameters"]["stop"] for sent in engine.seen.generations] == [stop, stop]


def test_the_penalty_reaches_the_engine(proxy: RunningProxy, engine: FakeEngine) -> None:
    proxy.generate(repetition_penalty=1.25)

    assert engine.seen.generations[0]["parameters"]["repetition_penalty"] == 1.25
