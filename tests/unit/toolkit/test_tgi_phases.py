import json
from pathlib import Path

import pytest

from scout_deploy.engines.adapter import StartPhase
from scout_deploy.engines.tgi.phases import read_kv_tokens, read_phase

LOGS = Path(__file__).parents[2] / "data/tgi/logs"


def lines_of(name: str) -> list[str]:
    _source, _version, _empty, *lines = (LOGS / name).read_text(encoding="utf-8").splitlines()
    return lines


def phases_of(name: str) -> list[tuple[str, str | None]]:
    return [(phase.name, phase.detail) for line in lines_of(name) if (phase := read_phase(line)) is not None]


def test_a_start_that_somebody_posted_is_followed_to_its_loaded_shard() -> None:
    assert phases_of("3181-first-start.txt") == [
        ("download", "checks the weights"),
        ("download", "the weights are there"),
        ("load", "shard 0 starts"),
        ("load", "shard 0 loads"),
        ("load", "shard 0 is ready after 18.0 s"),
    ]


def test_the_warm_up_of_a_posted_start_is_followed() -> None:
    assert phases_of("3181-warm-up.txt") == [
        ("load", "shard 0 is ready after 20.1 s"),
        ("warm-up", "the router starts"),
        ("warm-up", "computes the largest batch"),
        ("warm-up", "room for 1069251 tokens"),
    ]


def test_shards_are_told_apart() -> None:
    assert phases_of("2828-four-shards.txt") == [
        ("load", "shard 2 loads"),
        ("load", "shard 1 loads"),
        ("load", "shard 1 is ready after 55.2 s"),
        ("load", "shard 3 is ready after 55.8 s"),
    ]


def test_a_crash_at_warm_up_is_no_phase() -> None:
    assert [name for name, _ in phases_of("2819-dies-at-warm-up.txt")] == ["warm-up", "warm-up"]


def test_an_end_that_somebody_posted_as_json_is_no_phase() -> None:
    assert phases_of("636-json-end.txt") == []


def test_the_router_that_serves_is_ready() -> None:
    assert phases_of("2534-connected.txt") == [("ready", None)]


@pytest.mark.parametrize(
    ("message", "span", "phase"),
    [
        ("Starting shard", {"rank": 3, "name": "shard-manager"}, StartPhase(name="load", detail="shard 3 starts")),
        ("Warming up model", None, StartPhase(name="warm-up", detail="computes the largest batch")),
        ("Connected", None, StartPhase(name="ready")),
        ("Using prefix caching = True", None, None),
    ],
)
def test_json_lines_say_the_same(message: str, span: dict[str, object] | None, phase: StartPhase | None) -> None:
    record: dict[str, object] = {"timestamp": "2025-04-16T17:59:09.569182Z", "level": "INFO"}
    record |= {"fields": {"message": message}, "target": "text_generation_launcher"}

    assert read_phase(json.dumps(record if span is None else record | {"span": span, "spans": [span]})) == phase


@pytest.mark.parametrize("line", ["", "{", "[1]", '{"fields": 3}', '{"fields": {"message": 3}}', "\x1b[2m", "Args {"])
def test_what_is_no_record_of_a_phase_is_none(line: str) -> None:
    assert read_phase(line) is None


def test_colours_are_read_over() -> None:
    line = (
        "\x1b[2m2025-04-16T17:59:09Z\x1b[0m \x1b[32m INFO\x1b[0m \x1b[2mtext_generation_launcher\x1b[0m\x1b[2m:\x1b[0m "
    )

    assert read_phase(line + "Starting shard \x1b[2m\x1b[3mrank\x1b[0m\x1b[2m=\x1b[0m0\x1b[0m") == StartPhase(
        name="load", detail="shard 0 starts"
    )


def test_downloaded_files_are_a_percentage() -> None:
    line = "2025-04-16T17:58:47.0Z  INFO text_generation_launcher: Download: [3/4] -- ETA: 0:00:12"

    assert read_phase(line) == StartPhase(name="download", detail="file 3 of 4", percent=75.0)


def test_a_connection_elsewhere_is_not_ready() -> None:
    assert read_phase("2025-04-16T17:58:47.0Z  INFO hyper: Connected to 10.0.0.1") is None


def test_the_kv_cache_of_a_posted_start() -> None:
    assert read_kv_tokens(lines_of("3181-warm-up.txt")) == 1_069_251


@pytest.mark.parametrize("name", ["3181-first-start.txt", "2819-dies-at-warm-up.txt", "2534-connected.txt"])
def test_where_the_engine_says_nothing_of_its_kv_cache_nothing_is_known(name: str) -> None:
    assert read_kv_tokens(lines_of(name)) is None


@pytest.mark.parametrize(
    ("lines", "tokens"),
    [
        (("KV-cache blocks: 3981, size: 16",), 63_696),
        # The shard with the least room decides.
        (("KV-cache blocks: 3981, size: 16", "Setting max batch total tokens to 63000"), 63_000),
        # Without a paged cache the budget is a setting.
        (("Setting max batch total tokens to 16000",), None),
        # Of two starts in one log the last counts.
        (("KV-cache blocks: 9, size: 1", "Setting max batch total tokens to 9", "KV-cache blocks: 11, size: 1"), 11),
    ],
)
def test_the_kv_cache_is_counted_in_blocks(lines: tuple[str, ...], tokens: int | None) -> None:
    plain = [f"2025-04-16T17:56:59.574858Z  INFO text_generation_launcher: {line}" for line in lines]
    as_json = [json.dumps({"level": "INFO", "fields": {"message": line}}) for line in lines]

    assert read_kv_tokens(plain) == read_kv_tokens(as_json) == tokens
