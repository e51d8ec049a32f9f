"""`scout-deploy profiles`, as a user runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scout_deploy.cli.app import create_app
from scout_deploy.errors import ProfileError
from scout_deploy.profile.loader import load_profile
from scout_deploy.profile.schema import schema_text
from scout_deploy.profile.view import list_profiles, show_profile


@pytest.fixture
def own_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own folder of profiles, empty."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "scout-deploy" / "profiles"
    folder.mkdir(parents=True)
    return folder


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(create_app(), ["profiles", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_list_names_the_users_and_the_shipped_profiles(own_profiles: Path) -> None:
    (own_profiles / "mine.yaml").write_text("description: My own\nextends: a100-4bit\nreplicas: 2\n")
    (own_profiles / "broken.yaml").write_text("engine: {kind: embedded}\nport: 1\n")

    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in _run("list").splitlines()}

    assert lines["mine"] == "tgi 3.3.7  2 replicas on 1 x A100 80 GB  My own"
    assert "CPU" in lines["embedded"]
    assert "not usable: " in lines["broken"]
    assert "port: got an unknown key" in lines["broken"]
    assert not {"example", "_scout-tgi"} & set(lines)


@pytest.mark.usefixtures("own_profiles")
def test_list_as_json() -> None:
    document = json.loads(_run("list", "--json"))

    listed = {profile["name"]: profile for profile in document["profiles"]}
    assert listed["h200-bf16"]["hardware"] == "2 x H200 141 GB"
    assert listed["embedded"]["problem"] is None


def test_show_is_a_profile_again_with_the_same_meaning(tmp_path: Path) -> None:
    for summary in list_profiles({}):
        loaded = load_profile(summary.name, environment={})
        copy = tmp_path / f"{summary.name}.yaml"
        copy.write_text(show_profile(loaded))

        assert load_profile(str(copy), environment={}).profile == loaded.profile


def test_show_tells_where_each_value_comes_from() -> None:
    lines = [line.split() for line in _run("show", "h100-4bit", "--set", "proxy.port=3000").splitlines()]

    origins = {line[0]: line[-1] for line in lines}
    assert origins["port:"] == "--set"
    assert origins["host:"] == "default"
    assert origins["gpu_kind:"].endswith("h100-4bit.yaml:5")
    assert origins["quantization:"].endswith("a100-4bit.yaml:8")


def test_show_never_shows_the_value_of_a_variable(own_profiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_PLACE", "hunter2.example")
    (own_profiles / "mine.yaml").write_text("extends: embedded\nproxy: {host: '${env:SECRET_PLACE}'}\n")

    shown, as_json = _run("show", "mine"), _run("show", "mine", "--json")

    assert "hunter2" not in shown + as_json
    assert json.loads(as_json)["profile"]["proxy"]["host"] == "${env:SECRET_PLACE}"


def test_show_says_which_variable_is_missing(own_profiles: Path) -> None:
    (own_profiles / "mine.yaml").write_text("extends: embedded\nmodel: {path: '${env:NO_SUCH_VARIABLE_HERE}'}\n")

    with pytest.raises(ProfileError, match=r"model/path: got .*NO_SUCH_VARIABLE_HERE.*not set"):
        _run("show", "mine")


def test_validate_checks_all_files_and_names_every_problem(tmp_path: Path) -> None:
    good, bad, worse = (tmp_path / f"{name}.yaml" for name in ("good", "bad", "worse"))
    good.write_text("extends: embedded\n")
    bad.write_text("extends: embedded\nport: 1\n")
    worse.write_text("extends: [\n")
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path)}

    result = subprocess.run(
        [sys.executable, "-m", "scout_deploy", "profiles", "validate", str(bad), str(good), str(worse)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )

    assert (result.returncode, result.stdout) == (2, f"{good}: valid\n")
    assert f"{bad}:2: port: got an unknown key" in result.stderr
    assert f"{worse}:2:1: is not valid YAML" in result.stderr
    assert "Traceback" not in result.stderr


def test_validate_as_json_ends_with_the_status_of_wrong_input(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("extends: embedded\nport: 1\n")

    result = CliRunner().invoke(create_app(), ["profiles", "validate", "--json", str(bad)])

    assert result.exit_code == 2
    (finding,) = json.loads(result.stdout)["profiles"]
    assert (finding["valid"], len(finding["problems"])) == (False, 1)


def test_schema_prints_the_schema() -> None:
    assert _run("schema") == schema_text()
