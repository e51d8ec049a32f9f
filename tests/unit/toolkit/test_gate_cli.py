"""`up --gate`: what is refused before anything starts, and what a dry run says of it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fakes.no_docker import without_docker
from scout_deploy.bench import load_child
from scout_deploy.cli.app import create_app
from scout_deploy.cli.gate_checks import check_reach
from scout_deploy.errors import DeployError, ExtraMissingError, ProfileError
from scout_deploy.runtimes.docker_address import DockerAddress

LEVEL = ("--set", "service_level.ttft_p99_ms=500", "--set", "service_level.tpot_p99_ms=40")
UP = ("up", "--profile", "h100-8bit", "--replace", "--gate")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this user's state would lie; nothing is left there."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name, value in without_docker(tmp_path).items():
        monkeypatch.setenv(name, value)
    return tmp_path / "state"


def refused(*arguments: str) -> DeployError:
    result = CliRunner().invoke(create_app(), list(arguments))
    assert isinstance(result.exception, DeployError), result.output
    return result.exception


@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)])
@pytest.mark.parametrize(
    ("arguments", "message", "next_step"),
    [
        (("up", "--profile", "h100-8bit", "--gate", *LEVEL), "which --replace allows", "up --replace --gate"),
        (("up", "--replace", "--gate", *LEVEL), "is for engines in containers", "scout-deploy bench"),
        (UP, "the profile has none", "--set service_level.ttft_p99_ms=MS"),
        (("up", "--replace", "--gate-duration", "30"), "--gate is not there", "--gate --gate-duration"),
    ],
)
def test_what_there_is_nothing_to_measure_for_is_refused(
    arguments: tuple[str, ...], message: str, next_step: str, dry_run: tuple[str, ...], state: Path
) -> None:
    error = refused(*arguments, *(("--set", "service_level.ttft_p99_ms=null") if arguments == UP else ()), *dry_run)

    assert isinstance(error, ProfileError)
    assert message in error.message
    assert next_step in str(error.next_step)
    assert not state.exists()


@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)])
def test_without_the_extra_the_line_that_installs_it_is_said(
    monkeypatch: pytest.MonkeyPatch, state: Path, dry_run: tuple[str, ...]
) -> None:
    monkeypatch.setattr(load_child, "find_spec", lambda _: None)

    error = refused(*UP, *LEVEL, *dry_run)

    assert isinstance(error, ExtraMissingError)
    assert error.next_step == "pip install 'scout-deploy[bench]'; in a checkout, make bench installs it and measures"
    assert not state.exists()


def test_a_daemon_elsewhere_is_refused() -> None:
    check_reach(DockerAddress(url="unix:///var/run/docker.sock", source="DOCKER_HOST"))
    with pytest.raises(DeployError, match=r"on another machine \(ssh://gpu-box\)"):
        check_reach(DockerAddress(url="ssh://gpu-box", source="DOCKER_HOST"))


def test_a_dry_run_says_what_would_be_measured() -> None:
    shown = CliRunner().invoke(create_app(), [*UP, *LEVEL, "--gate-duration", "30", "--dry-run"])
    document = CliRunner().invoke(create_app(), [*UP, *LEVEL, "--dry-run", "--json"])

    assert (
        "gate           4 users for 30 s, before the new engines get requests; p99 of TTFT 500 ms, TPOT 40 ms, else "
        "the old ones serve on\n"
    ) in shown.output
    gate = json.loads(document.output)["gate"]
    assert (gate["users"], gate["duration_s"], gate["service_level"]["ttft_p99_ms"]) == (4, 10, 500)
