"""Starts that take too long or are watched, and engines that die of memory: while they load, and while they serve."""

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import requests

from fakes.command_line import TIMEOUT_S
from fakes.container_case import ContainerCase, refuses_with_503, wait_until
from fakes.tgi_weights import change_play

pytestmark = pytest.mark.docker

_MEMORY_LIMIT = "96m"


def test_a_shard_that_the_kernel_kills_for_memory_is_told_from_the_gpus(
    case: ContainerCase, demo_weights: Path
) -> None:
    change_play(demo_weights, die="eat-memory", load_until="limited")

    running = case.start_up()
    try:
        wait_until(lambda: any(one.status == "running" for one in engines(case)))
        case.container().update(mem_limit=_MEMORY_LIMIT, memswap_limit=_MEMORY_LIMIT)
        (demo_weights / "limited").touch()
        _, errors = running.communicate(timeout=TIMEOUT_S)
    finally:
        running.kill()

    assert running.returncode == 7
    assert "the machine's own memory (not the GPUs') ran out" in errors
    assert case.evidence()["oom_killed"] is True
    assert [death["name"] for death in case.diagnosed()] == ["out-of-host-memory"]


def engines(case: ContainerCase) -> list[Any]:
    return [one for one in case.containers() if "engine" in str(one.name)]


@pytest.mark.variant
def test_an_engine_that_is_never_ready_is_given_up_in_time(case: ContainerCase, demo_weights: Path) -> None:
    change_play(demo_weights, die="never-ready", waiting_s=0.2)

    # Long enough for a busy machine to begin to load, or it would be given up in an earlier phase.
    result = case.up("--timeout", "25")

    assert result.returncode == 8, result.stdout + result.stderr
    assert "not ready in time in the phase 'load'" in result.stderr
    assert "Waiting for shard to be ready" in result.stderr
    wait_until(lambda: refuses_with_503(case))
    wait_until(lambda: case.container().status == "exited")
    # The container was ended by `up` itself; that it was late is what the evidence knows.
    (death,) = case.diagnosed()
    assert "not ready in time" in death["cause"]
    assert death["exit_code"] == 8


@pytest.mark.variant
def test_a_start_that_says_nothing_is_called_stalled_once(case: ContainerCase, demo_weights: Path) -> None:
    change_play(demo_weights, die="hang-warmup")
    with case.profile.open("a", encoding="utf-8") as profile:
        # Long enough for a busy machine to come to the warm-up, and to be silent there more than twice as long.
        profile.write("startup: {stall_after_s: 4, timeout_s: 35}\n")

    result = case.up()

    assert result.returncode == 8
    stalls = [line for line in result.stdout.splitlines() if line.startswith("note: stalled: ")]
    # A machine that is too busy may be silent earlier too.
    assert len([line for line in stalls if "in the phase 'warm-up'" in line]) == 1
    assert "wrote nothing for the last" in result.stderr
    assert case.evidence()["silent_s"] >= 4


@pytest.mark.variant
def test_the_api_answers_503_while_an_engine_loads(case: ContainerCase, demo_weights: Path) -> None:
    change_play(demo_weights, load_until="loaded")

    running = case.start_up()
    try:
        wait_until(lambda: phase_said(case) == "load")
        was_refused = refuses_with_503(case)
        (demo_weights / "loaded").touch()
        running.communicate(timeout=TIMEOUT_S)
    finally:
        running.kill()

    assert was_refused
    assert running.returncode == 0


def phase_said(case: ContainerCase) -> object:
    try:
        return case.get("/status").json()["phase"]
    except requests.ConnectionError:
        return None


def test_a_crash_after_ready_comes_back_and_is_explained_from_before_the_restart(
    case: ContainerCase, demo_weights: Path
) -> None:
    # More requests than `up` makes; counted in the container itself, which a restart keeps.
    change_play(demo_weights, die="oom-serving", after_requests=10, on_start=1, starts_file="/starts")
    case.up_works()

    prompts = (f"Tell me about the sea, {number}." for number in itertools.count())
    wait_until(lambda: has_restarted_after(case, next(prompts)))
    wait_until(lambda: case.generate().status_code == 200)

    (engine,) = (one for one in case.status()["containers"] if one["role"] == "engine")
    assert (engine["restarts"], engine["status"]) == (1, "running")
    shown = case.run("status").stdout
    assert re.search(rf"scout-{case.name}-engine-1-0 +serving +\S+( \S+)? +1 ", shown), shown
    (death,) = case.diagnosed()
    assert death["name"] == "out-of-memory-after-warm-up"
    assert death["source"] == "its log before the last restart"
    mending = f"scout-deploy up --profile {case.profile} --name {case.name} --replace --set"
    assert mending in case.run("diagnose").stdout


def has_restarted_after(case: ContainerCase, prompt: str) -> bool:
    requests.post(f"{case.cli.url}/generate", json={"prompt": prompt, "max_length": 4}, timeout=30)
    return bool(case.container().attrs["RestartCount"] == 1)
