"""Engines that die as they start: what `up`, the API and `diagnose` say, at once, later and after `down`."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from fakes.container_case import (
    ContainerCase,
    events_of,
    refuses_with_503,
    wait_until,
)
from fakes.tgi_weights import change_play, play_recorded_death

pytestmark = pytest.mark.docker

_RECORDED = Path(__file__).parents[2] / "data/deaths"
_TOKEN = "hf_" + "s" * 34


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a user reads of a death; `edit` is part of the one thing to do."""

    name: str
    status: int
    cause: str
    evidence: str
    edit: str


# One of each phase and exit status, and one by a signal; the others' words are diagnosed in test_played_deaths.py.
DEATHS = {
    "oom-warmup": Expected(
        name="out-of-memory-at-warm-up", status=7, cause="no room for a prompt of 4096 tokens",
        evidence="Not enough memory to handle 4096 prefill tokens", edit="--set engine.max_batch_prefill_tokens=2048",
    ),
    "sigbus": Expected(
        name="small-shared-memory", status=7, cause="bus error (signal 7)", evidence="with signal 7",
        edit="--set engine.shm_size_gb=2",
    ),
    "num-shard": Expected(
        name="wrong-shard-count", status=5, cause="sees fewer in its container", evidence="Each process is one gpu",
        edit="scout-deploy doctor",
    ),
    "gated": Expected(
        name="gated-model", status=10, cause="only to accounts that were granted access", evidence="GatedRepoError",
        edit="set HF_TOKEN",
    ),
}  # fmt: skip

# One that a user posted for each exit status; that each post gets its name needs no container.
RECORDED = {
    "disk-full-1": ("disk-full", 7),
    "driver-too-old-3": ("driver-too-old", 5),
}


@pytest.mark.parametrize("die", DEATHS)
@pytest.mark.variant
def test_a_death_at_start_is_explained_at_once_and_later(case: ContainerCase, demo_weights: Path, die: str) -> None:
    expected = DEATHS[die]
    change_play(demo_weights, die=die)

    result = case.up()

    assert result.returncode == expected.status, result.stdout + result.stderr
    cause, *evidence = result.stderr.splitlines()
    assert cause.startswith("error: ")
    assert expected.cause in cause
    assert expected.evidence in "\n".join(evidence)
    assert expected.edit in result.stderr.partition("\nnext: ")[2]
    assert "Traceback" not in result.stdout + result.stderr
    wait_until(lambda: refuses_with_503(case))
    engine = case.container()
    assert (engine.status, engine.attrs["RestartCount"]) == ("exited", 0)
    (death,) = case.diagnosed()
    assert death["name"] == expected.name
    assert expected.cause in death["cause"]
    assert expected.evidence in "\n".join(death["evidence"])


def test_with_json_the_last_event_is_the_error(case: ContainerCase, demo_weights: Path) -> None:
    change_play(demo_weights, die="oom-warmup", warmup_s=4.0)

    result = case.up("--json")

    *before, error = events_of(result)
    expected = DEATHS["oom-warmup"]
    assert (error["event"], error["exit_code"]) == ("error", expected.status)
    assert expected.cause in error["message"]
    assert expected.edit in error["next_step"]
    assert any(expected.evidence in line for line in error["evidence"])
    assert "warm-up" in [event["phase"] for event in before if event["event"] == "phase"]


def test_a_death_is_explained_after_down_and_a_mended_deployment_works(case: ContainerCase, demo_weights: Path) -> None:
    change_play(demo_weights, die="oom-warmup")
    failed = case.up("--set", "engine.max_batch_prefill_tokens=3000", variables={"HF_TOKEN": _TOKEN})
    before = case.run("diagnose")

    assert case.run("down").returncode == 0
    after = case.run("diagnose")
    without_docker = case.run("diagnose", variables={"DOCKER_HOST": "unix:///nonexistent/docker.sock"})

    assert case.containers() == []
    assert before.returncode == after.returncode == 0
    assert without_times(after.stdout) == without_times(before.stdout)
    assert without_times(without_docker.stdout) == without_times(before.stdout)
    again = f"next: scout-deploy up --profile {case.profile} --name {case.name} --set "
    assert again + "engine.max_batch_prefill_tokens=1500  (" in failed.stderr
    assert failed.stderr.partition("next: ")[2].splitlines()[0] in after.stdout
    kept = case.evidence()
    assert (kept["exit_code"], kept["phase"], kept["oom_killed"]) == (1, "warm-up", False)
    assert "Error: WebserverFailed" in kept["log"]
    assert _TOKEN not in json.dumps(kept)

    change_play(demo_weights)
    case.up_works("--set", "engine.max_batch_prefill_tokens=1500")
    assert case.generate().status_code == 200
    assert case.diagnosed() == []


def without_times(text: str) -> str:
    return re.sub(r",( \d+ (d|h|min|s))+ ago$", "", text, flags=re.MULTILINE)


@pytest.mark.variant
def test_up_after_a_failed_start_begins_anew(case: ContainerCase, demo_weights: Path) -> None:
    change_play(demo_weights, die="oom-load")
    failed = case.up()
    change_play(demo_weights)

    again = case.up_works()

    assert failed.returncode == 7
    assert "do not fit" in failed.stderr
    assert "CUDA out of memory" in failed.stderr
    assert "a profile whose weights are quantized" in failed.stderr.partition("\nnext: ")[2]
    assert "the last start failed; starting again" in again.stdout
    assert case.status()["state"] == "ready"


@pytest.mark.parametrize("recorded", RECORDED)
@pytest.mark.variant
def test_a_death_that_a_user_posted_is_named_from_the_real_log_of_a_container(
    case: ContainerCase, demo_weights: Path, recorded: str
) -> None:
    name, status = RECORDED[recorded]
    play_recorded_death(demo_weights, _RECORDED / f"{recorded}.toml")

    result = case.up()

    assert result.returncode == status, result.stdout + result.stderr
    (death,) = case.diagnosed()
    assert death["name"] == name
    assert case.evidence()["diagnosis"]["name"] == name


def test_what_no_signature_knows_is_shown_as_it_is(case: ContainerCase, demo_weights: Path) -> None:
    (demo_weights / "death.txt").write_text("a line that nobody has seen before\n", encoding="utf-8")
    change_play(demo_weights, die="recorded", at="load", exit_code=139)

    result = case.up()

    assert result.returncode == 7
    assert "exit status 139 (signal 11, SIGSEGV)" in result.stderr
    assert "a line that nobody has seen before" in result.stderr
    assert "its log names no cause known here" in result.stderr
