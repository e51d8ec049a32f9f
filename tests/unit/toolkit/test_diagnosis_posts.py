"""What users posted when their engines died, and the name that the diagnosis gives it."""

import shlex
import tomllib
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from scout_deploy.diagnosis.death import Death
from scout_deploy.diagnosis.diagnose import all_signatures, diagnose
from scout_deploy.diagnosis.diagnosis import EngineSettings
from scout_deploy.engines.tgi.failures import tgi_signatures
from scout_deploy.profile.layers import parse_overrides
from scout_deploy.profile.loader import load_profile

POSTS = sorted((Path(__file__).parents[2] / "data/deaths").glob("*.toml"))
FACTS = ("exit_code", "oom_killed", "error", "phase", "was_ready", "timed_out")
SETTINGS = EngineSettings(
    gpu_count=2,
    max_batch_prefill_tokens=4096,
    context_length=8192,
    max_input_tokens=None,
    memory_fraction=None,
    shm_size_gb=None,
    quantization=None,
    model_id="meta-llama/Llama-4-Scout-17B-16E-Instruct",
    version="3.3.7",
    image="ghcr.io/huggingface/text-generation-inference:3.3.7",
    replicas=1,
    port=2025,
)


def read(path: Path) -> tuple[Death, str, str]:
    post = tomllib.loads(path.read_text(encoding="utf-8"))
    facts = {fact: post[fact] for fact in FACTS if fact in post}
    death = Death(**{"exit_code": None, **facts}, lines=tuple(post.get("lines", "").splitlines()))
    return death, post["expected"], post["source"]


@pytest.mark.parametrize("path", POSTS, ids=lambda path: path.stem)
def test_a_posted_death_gets_its_name(path: Path) -> None:
    death, expected, _ = read(path)

    diagnosis = diagnose(death, SETTINGS, all_signatures(tgi_signatures()))

    assert diagnosis.name == expected, diagnosis


@pytest.mark.parametrize("path", POSTS, ids=lambda path: path.stem)
def test_the_evidence_is_what_was_posted(path: Path) -> None:
    death, expected, _ = read(path)

    diagnosis = diagnose(death, SETTINGS, all_signatures(tgi_signatures()))

    said = " ".join(" ".join((death.error, *death.lines)).split())
    for line in diagnosis.evidence:
        is_posted = " ".join(line.strip("…").split()) in said
        is_fact = not said and line.endswith(("OOMKilled, exit status 137", "signal 9"))
        assert is_posted or is_fact or line == f"exit status {death.exit_code}: signal {death.signal}", line
    assert diagnosis.evidence or expected == "unknown"


@pytest.mark.parametrize("path", POSTS, ids=lambda path: path.stem)
def test_a_known_death_says_what_to_do(path: Path) -> None:
    death, expected, _ = read(path)

    diagnosis = diagnose(death, SETTINGS, all_signatures(tgi_signatures()))

    helps = bool(diagnosis.edits or diagnosis.next_step)
    assert helps == (expected != "unknown")


@pytest.mark.parametrize("path", POSTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("settings", [SETTINGS, replace(SETTINGS, quantization="compressed-tensors", gpu_count=1)])
def test_every_edit_is_one_that_a_profile_takes(path: Path, settings: EngineSettings) -> None:
    death, _, _ = read(path)

    diagnosis = diagnose(death, settings, all_signatures(tgi_signatures()))

    for edit in diagnosis.edits:
        (_, assignment) = shlex.split(edit.text)
        load_profile("a100-bf16", environment={}, overrides=parse_overrides([assignment]))


def test_every_signature_knows_a_post() -> None:
    known = {read(path)[1] for path in POSTS}

    assert {signature.name for signature in all_signatures(tgi_signatures())} <= known


def test_every_name_rests_on_two_threads() -> None:
    threads: defaultdict[str, set[str]] = defaultdict(set)
    for path in POSTS:
        _, expected, source = read(path)
        threads[expected].add(source)

    assert [name for name, sources in threads.items() if len(sources) < 2] == []


def test_every_post_names_its_public_thread() -> None:
    for path in POSTS:
        assert read(path)[2].startswith("https://github.com/"), path.stem


@pytest.mark.parametrize("path", POSTS, ids=lambda path: path.stem)
def test_without_signatures_nothing_is_guessed(path: Path) -> None:
    death, _, _ = read(path)

    diagnosis = diagnose(death, SETTINGS, ())

    assert diagnosis.name == "unknown"
    assert diagnosis.edits == ()
    assert diagnosis.next_step is None
