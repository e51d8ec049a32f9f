"""The plan of requests: seeded, unique where it says so, of the lengths that the data gives."""

import json
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scout_loadtest.arrivals import due_times
from scout_loadtest.errors import InputError
from scout_loadtest.step import Arrival
from scout_loadtest.workload.data_file import read_data
from scout_loadtest.workload.data_row import DataRow
from scout_loadtest.workload.kind import Kind, read_mix
from scout_loadtest.workload.plan import POPULAR_PROMPTS, RequestPlan

ROWS = (DataRow(input_tokens=20, output_tokens=8),)


def plan(seed: int = 1, rows: tuple[DataRow, ...] = ROWS, **mix: float) -> RequestPlan:
    return RequestPlan(seed=seed, shares=read_mix(mix), rows=rows)


def plan_of(kind: Kind) -> RequestPlan:
    return RequestPlan(seed=1, shares={kind: 1.0}, rows=ROWS)


def body(plan: RequestPlan, index: int) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(plan.request(index).body)
    return loaded


@given(st.integers(0, 10**9), st.integers(0, 10**6))
@settings(max_examples=25)
def test_a_seed_and_a_number_are_always_the_same_request(seed: int, index: int) -> None:
    assert plan(seed, mixed=1).request(index) == plan(seed, mixed=1).request(index)


def test_unique_prompts_are_unique_between_seeds_too() -> None:
    prompts = {body(plan(seed, unique=1), index)["prompt"] for seed in range(5) for index in range(200)}

    assert len(prompts) == 1000


@pytest.mark.parametrize("kind", Kind)
def test_only_popular_prompts_may_come_from_the_cache(kind: Kind) -> None:
    headers = plan_of(kind).request(3).headers

    assert (headers.get("Cache-Control") == "no-cache") == (kind is not Kind.REPEATED)


def test_popular_prompts_are_few_and_some_are_much_more_popular() -> None:
    asked = plan(repeated=1)
    counts = Counter(asked.request(index).body for index in range(2000)).most_common()

    assert len(counts) <= POPULAR_PROMPTS
    assert counts[0][1] > 5 * counts[-1][1]


def test_bodies_keep_the_contract() -> None:
    bodies = {kind: body(plan_of(kind), 0) for kind in Kind}

    assert {kind for kind, one in bodies.items() if one.get("stream")} == {kind for kind in Kind if kind.is_streamed}
    assert bodies[Kind.SEQUENCES]["num_return_sequences"] in {2, 3, 4}
    assert bodies[Kind.CHAT]["stream_options"] == {"include_usage": True}
    assert {one.get("max_length") or one["max_tokens"] for one in bodies.values()} == {8}


def test_a_mixture_has_its_shares() -> None:
    asked = plan(mixed=1)
    counts = Counter(asked.request(index).kind for index in range(1500))

    assert {kind: pytest.approx(share, abs=0.05) for kind, share in read_mix({"mixed": 1}).items()} == {
        kind: count / 1500 for kind, count in counts.items()
    }


def test_long_prompts_are_the_longest_tenth() -> None:
    rows = tuple(DataRow(input_tokens=number, output_tokens=8) for number in range(10, 210))
    asked = plan(rows=rows, long_prompt=1)
    words = [len(body(asked, index)["prompt"].split()) for index in range(50)]

    # 190 to 209 tokens at 1.3 a word, and the words of the instruction.
    assert min(words) > 140
    assert max(words) < 175


def test_the_users_own_prompts_are_sent_as_they_are(tmp_path: Path) -> None:
    data = tmp_path / "mine.jsonl"
    data.write_text(
        '# mine\n{"prompt": "说说海。", "max_length": 7}\n\n{"prompt": "Tell me more."}\n', encoding="utf-8-sig"
    )
    asked = plan(rows=read_data(data), unique=1)

    assert {(one["prompt"], one["max_length"]) for one in (body(asked, index) for index in range(20))} == {
        ("说说海。", 7),
        ("Tell me more.", 512),
    }


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "is not JSON: Expecting property name enclosed in double quotes at column 2"),
        ("[" * 100_000, "is nested too deep"),
        ("7", "should be an object, got 7"),
        (f'{{"input_tokens": {"1" * 5000}}}', "has a number that is too large: at most 1000000 is of use"),
        ("{}", "input_tokens should be an integer from 1 to 1000000, got nothing"),
        ('{"input_tokens": 0, "output_tokens": 1}', "input_tokens should be an integer from 1 to 1000000, got 0"),
        (
            '{"input_tokens": 1, "output_tokens": true}',
            "output_tokens should be an integer from 1 to 1000000, got true",
        ),
        ('{"prompt": " "}', 'prompt should be a text that is not empty, got " "'),
        ('{"prompt": "\\ud800"}', "prompt has half of a surrogate pair, which is no text"),
        ('{"prompt": "a", "max_tokens": 3}', "has 'max_tokens', expected max_length and prompt"),
        ('{"prompt": "a", "max_length": "3"}', 'max_length should be an integer from 1 to 1000000, got "3"'),
    ],
)
def test_a_wrong_line_is_named_with_its_reason(tmp_path: Path, line: str, reason: str) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text(f'{{"prompt": "a"}}\n{line}\n', encoding="utf-8")

    with pytest.raises(InputError) as caught:
        read_data(data)

    assert caught.value.message == f"{data}:2: {reason}"
    assert "max_length" in caught.value.next_step


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    empty, binary = tmp_path / "empty", tmp_path / "binary"
    empty.write_text("# nothing\n")
    binary.write_bytes(b"\xff\xfe")

    for path, said in (
        (empty, "has no line"),
        (binary, "is not UTF-8"),
        (tmp_path, "cannot be read"),
        (tmp_path / "x", "cannot be read"),
    ):
        with pytest.raises(InputError, match=said):
            read_data(path)


@pytest.mark.parametrize(
    ("mix", "said"),
    [
        ({"chats": 1}, "'chats' is no kind"),
        ({"chat": -1}, "no weight"),
        ({"chat": float("nan")}, "no weight"),
        ({}, "is empty"),
    ],
)
def test_a_wrong_mix_is_named(mix: Mapping[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_mix(mix)


def test_arrivals_have_their_rate_and_are_seeded() -> None:
    def dues(arrival: Arrival, seed: int) -> list[float]:
        times = due_times(arrival, rate=20.0, seed=seed)
        return [next(times) for _ in range(4000)]

    poisson = dues(Arrival.POISSON, 1)
    gaps = [later - earlier for earlier, later in pairwise(poisson)]

    assert poisson == dues(Arrival.POISSON, 1) != dues(Arrival.POISSON, 2)
    assert poisson[-1] == pytest.approx(200, rel=0.1)
    # An exponential distribution's share above its mean is 1/e.
    assert sum(gap > 1 / 20 for gap in gaps) / len(gaps) == pytest.approx(0.368, abs=0.04)
    assert dues(Arrival.CONSTANT, 1)[:3] == [0, 0.05, 0.1]
