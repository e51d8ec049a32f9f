"""The commands about deployments, as a user runs them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scout_deploy.cli.app import create_app
from scout_deploy.processes import free_port, marked_processes
from scout_deploy.runtimes.supervisor import MARK_VARIABLE


@pytest.fixture
def deployments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of this user's deployments, empty."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
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


def test_sigterm_takes_back_what_up_began_as_ctrl_c_does(deployments: Path) -> None:
    command = [sys.executable, "-m", "scout_deploy", "up", "--json", "--port", str(free_port("127.0.0.1"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ) as up:
        assert up.stdout is not None
        assert json.loads(up.stdout.readline())["phase"] == "start"
        up.send_signal(signal.SIGTERM)
        events = [json.loads(line) for line in up.stdout]

    assert up.returncode == 130
    assert events[-1]["detail"] == "interrupted: taking the deployment down again"
    assert not (deployments / "scout").exists()
    assert marked_processes(MARK_VARIABLE, str(deployments / "scout")) == ()
