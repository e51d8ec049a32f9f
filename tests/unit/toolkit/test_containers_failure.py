"""What a user is told of an engine that died, now and from its kept evidence later."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from scout_deploy.diagnosis.death import Death
from scout_deploy.diagnosis.diagnosis import Diagnosis, ProfileEdit
from scout_deploy.diagnosis.from_settings import engine_settings
from scout_deploy.errors import DeployError, EngineExitedError, ModelFileError
from scout_deploy.evidence import newest_evidence
from scout_deploy.runtimes.container_failure import UpCommand, failed, keep_evidence, next_step
from scout_deploy.runtimes.postmortem import death_of_evidence

FIRST = ProfileEdit(key="engine/max_batch_prefill_tokens", value="1024", why="half of it")
SECOND = ProfileEdit(key="engine/shm_size_gb", value="2", why="more of it")
OUT_OF_MEMORY = Diagnosis(
    name="out-of-memory-at-warm-up",
    cause="the GPU's memory is too small",
    evidence=("Not enough memory",),
    edits=(FIRST, SECOND),
    next_step="use a larger GPU",
)
AGAIN = UpCommand(profile="p", name="scout")
DEATH = Death(exit_code=1, oom_killed=True, error="", lines=("first", "ü last"), phase="warm-up", silent_s=3.5)
SETTINGS = engine_settings({"engine/context_length": "8192"}, image="tgi:3.3.7", gpu_count=1)


@pytest.mark.parametrize(
    ("profile", "name", "overrides", "command"),
    [
        ("a100-4bit", "scout", (), "scout-deploy up --profile a100-4bit"),
        ("a100-4bit", "blue", (), "scout-deploy up --profile a100-4bit --name blue"),
        (
            "my profile.yaml",
            "scout",
            ("api.name=my API", "replicas=2"),
            "scout-deploy up --profile 'my profile.yaml' --set 'api.name=my API' --set replicas=2",
        ),
    ],
)
def test_the_command_that_starts_it_again(profile: str, name: str, overrides: tuple[str, ...], command: str) -> None:
    assert UpCommand(profile=profile, name=name, overrides=overrides).text == command


def test_what_serves_is_exchanged() -> None:
    command = UpCommand(profile="a100-4bit", name="blue", overrides=("replicas=2",), replaces=True)

    assert command.text == "scout-deploy up --profile a100-4bit --name blue --replace --set replicas=2"


def test_the_best_edit_comes_as_a_whole_command_and_the_others_after_it() -> None:
    assert str(next_step(OUT_OF_MEMORY, AGAIN)).splitlines() == [
        "scout-deploy up --profile p --set engine.max_batch_prefill_tokens=1024  (half of it)",
        "  or --set engine.shm_size_gb=2  (more of it)",
        "  or use a larger GPU",
    ]


def test_an_edit_takes_the_place_of_what_was_given_for_its_key() -> None:
    given = ("engine.max_batch_prefill_tokens=2048", "replicas=2", " engine.max_batch_prefill_tokens =4096")

    assert replace(AGAIN, overrides=given).with_edit(FIRST) == (
        "scout-deploy up --profile p --set replicas=2 --set engine.max_batch_prefill_tokens=1024"
    )


def test_without_an_edit_the_next_step_stands_alone() -> None:
    assert next_step(replace(OUT_OF_MEMORY, edits=()), AGAIN) == "use a larger GPU"
    assert next_step(replace(OUT_OF_MEMORY, edits=(), next_step=None), AGAIN) is None


@pytest.mark.parametrize(("status", "kind"), [(7, EngineExitedError), (10, ModelFileError), (99, EngineExitedError)])
def test_the_error_has_the_exit_status_of_its_cause(status: int, kind: type[DeployError]) -> None:
    error = failed(replace(OUT_OF_MEMORY, exit_code=status), command=AGAIN, evidence_file=Path("/e/1.json"))

    assert type(error) is kind
    assert error.message == "the GPU's memory is too small"
    assert error.evidence == ("Not enough memory", "all of it: /e/1.json")


def test_a_death_is_read_again_from_its_evidence_as_it_was(tmp_path: Path) -> None:
    path = keep_evidence(
        tmp_path,
        container="scout-engine-1-0",
        profile="a100-4bit",
        overrides=("replicas=2",),
        settings=SETTINGS,
        death=DEATH,
        diagnosis=OUT_OF_MEMORY,
    )

    facts = newest_evidence(tmp_path)
    assert facts is not None
    found = death_of_evidence(facts)
    assert found is not None
    assert found.death == DEATH
    assert found.settings == SETTINGS
    assert (found.container, found.profile, found.overrides) == ("scout-engine-1-0", "a100-4bit", ("replicas=2",))
    assert found.source == f"the evidence in {path}"
    assert found.at_s == facts["at_s"]


def test_evidence_of_an_older_version_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    keep_evidence(tmp_path, container="c", profile="p", settings=SETTINGS, death=DEATH, diagnosis=OUT_OF_MEMORY)
    facts = dict(newest_evidence(tmp_path) or {})
    del facts["overrides"]
    facts["settings"] = {"gpu_count": 1}

    found = death_of_evidence(json.loads(json.dumps(facts)))

    assert found is not None
    assert (found.settings, found.overrides, found.death) == (None, (), DEATH)


@pytest.mark.parametrize("facts", [{}, {"container": "c"}, {"container": "c", "log": "text"}, {"log": []}])
def test_another_kind_of_evidence_tells_of_no_container(facts: dict[str, object]) -> None:
    assert death_of_evidence(facts) is None
