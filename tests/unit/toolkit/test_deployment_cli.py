"""The commands about deployments, as a user runs them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest
from typer.testing import CliRunner

from fakes.no_docker import without_docker
from fakes.this_machine import unused_port
from scout_deploy.cli.app import create_app
from scout_deploy.deployment_store import MARK_VARIABLE
from scout_deploy.errors import ProfileError
from scout_deploy.processes import marked_processes


@pytest.fixture
def deployments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of this user's deployments, empty."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name, value in without_docker(tmp_path).items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "scout-deploy" / "deployments"
    folder.mkdir(parents=True)
    return folder


def test_status_shows_the_others_beside_one_that_cannot_be_read(deployments: Path) -> None:
    for name in ("first", "second"):
        (deployments / name).mkdir()
        (deployments / name / "deployment.json").write_text("{}", encoding="utf-8")

    result = CliRunner().invoke(create_app(), ["status", "--json"], catch_exceptions=False)

    assert result.exit_code == 0
    shown = json.loads(result.stdout)["deployments"]
    assert [(one["name"], one["state"]) for one in shown] == [("first", "unreadable"), ("second", "unreadable")]


@pytest.mark.parametrize("command", [["up"], ["generate", "hello"]])
def test_a_wait_without_end_is_refused(command: list[str], deployments: Path) -> None:
    result = CliRunner().invoke(create_app(), [*command, "--timeout", "inf"])

    assert result.exit_code == 2
    assert list(deployments.iterdir()) == []


def test_name_that_would_not_fit_a_host_name_is_refused(deployments: Path) -> None:
    result = CliRunner().invoke(create_app(), ["up", "--dry-run", "--name", "a" * 41])

    assert isinstance(result.exception, ProfileError)
    assert "at most 40" in result.exception.message
    assert list(deployments.iterdir()) == []


def run(*arguments: str, stdout: int | IO[bytes] = subprocess.PIPE) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "scout_deploy", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )


def test_json_parses_also_where_the_terminal_knows_only_ascii() -> None:
    result = run("up", "--json", "--profile", "größe-大海")

    assert result.returncode == 2
    assert "größe-大海" in json.loads(result.stdout)["message"]


def test_text_reaches_a_terminal_that_knows_only_ascii(tmp_path: Path) -> None:
    profile = tmp_path / "größe.yaml"
    profile.write_text("extends: embedded\n", encoding="utf-8")

    result = run("profiles", "validate", str(profile))

    assert result.returncode == 0
    assert result.stdout.endswith(rb"gr\xf6\xdfe.yaml: valid" + b"\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full, the disk that is always full")
@pytest.mark.parametrize("command", [["version"], ["profiles", "list", "--json"]])
def test_an_output_that_is_full_is_an_error_and_no_crash(command: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        result = run(*command, stdout=full)

    assert result.returncode == 1
    assert result.stderr == b"error: the output cannot be written: No space left on device\n"


def test_sigterm_takes_back_what_up_began_as_ctrl_c_does(deployments: Path) -> None:
    command = [sys.executable, "-m", "scout_deploy", "up", "--json", "--port", str(unused_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ) as up:
        assert up.stdout is not None
        assert json.loads(up.stdout.readline())["phase"] == "start"
        up.send_signal(signal.SIGTERM)
        events = [json.loads(line) for line in up.stdout]

    assert up.returncode == 130
    assert events[-1]["detail"] == "interrupted: taking the deployment down again"
    assert not (deployments / "scout").exists()
    assert marked_processes(MARK_VARIABLE, str(deployments / "scout")) == ()
