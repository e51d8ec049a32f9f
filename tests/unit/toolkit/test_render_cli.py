"""`scout-deploy render`, as a user runs it."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fakes.profile_folder import Folder
from scout_deploy.cli.app import create_app
from scout_deploy.cli.unit import own_command
from scout_deploy.errors import DeployError, ProfileError

# Weights that are nowhere, so that nothing of this machine's cache counts.
_NO_CACHE = "HF_HUB_CACHE"


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv(_NO_CACHE, str(tmp_path / "hub"))
    monkeypatch.delenv("DOCKER_HOST", raising=False)


def render(*arguments: str) -> Result:
    result = CliRunner().invoke(create_app(), ["render", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def refused(kind: type[DeployError], *arguments: str) -> DeployError:
    with pytest.raises(kind) as caught:
        CliRunner().invoke(create_app(), ["render", *arguments], catch_exceptions=False)
    return caught.value


def compose(*arguments: str) -> Result:
    return render("compose", "--profile", "a100-4bit", *arguments)


def test_compose_writes_a_folder_of_the_deployments_name(tmp_path: Path) -> None:
    said = json.loads(compose("--name", "mine", "--json").stdout)

    written = {str(path.relative_to(tmp_path / "mine")) for path in (tmp_path / "mine").rglob("*") if path.is_file()}
    assert said["folder"] == str(tmp_path / "mine")
    assert set(said["files"]) == written
    assert {"compose.yaml", "routes/routes.json", ".env", "proxy-image/Dockerfile"} < written


def test_compose_says_how_to_start_it_or_how_to_fetch_what_is_missing() -> None:
    result = compose("--name", "mine")

    assert "hf download RedHatAI/Llama-4-Scout-17B-16E-Instruct-quantized.w4a16" in result.stdout
    assert "up -d" not in result.stdout


def test_what_the_proxys_user_reads_is_readable_whatever_the_umask(tmp_path: Path) -> None:
    folder = tmp_path / "there"
    compose("-o", str(folder))

    assert (folder / "routes").stat().st_mode & 0o777 == 0o755
    assert (folder / "routes" / "routes.json").stat().st_mode & 0o777 == 0o644


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    compose("-o", "there")
    (tmp_path / "there" / "compose.yaml").write_text("mine", encoding="utf-8")

    error = refused(DeployError, "compose", "--profile", "a100-4bit", "-o", "there")

    assert "compose.yaml" in error.message
    assert error.next_step is not None
    assert "--force" in error.next_step
    assert (tmp_path / "there" / "compose.yaml").read_text(encoding="utf-8") == "mine"


def test_force_overwrites_and_leaves_what_is_not_its_own(tmp_path: Path) -> None:
    compose("-o", "there")
    (tmp_path / "there" / "compose.yaml").write_text("mine", encoding="utf-8")
    (tmp_path / "there" / "compose.override.yaml").write_text("mine", encoding="utf-8")

    compose("-o", "there", "--force")

    assert "services:" in (tmp_path / "there" / "compose.yaml").read_text(encoding="utf-8")
    assert (tmp_path / "there" / "compose.override.yaml").read_text(encoding="utf-8") == "mine"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    error = refused(DeployError, "compose", "--profile", "a100-4bit", "-o", "file/below")

    assert "file" in error.message
    assert "cannot be written" in error.message


def test_a_file_that_cannot_be_written_is_named_as_it_was_given() -> None:
    error = refused(DeployError, "systemd", "--output", "/proc/unit")

    assert error.message.startswith("/proc/unit cannot be written: ")


def test_the_digest_of_an_earlier_pull_is_what_runs(tmp_path: Path) -> None:
    history = tmp_path / "state" / "scout-deploy" / "history"
    history.mkdir(parents=True)
    tag = "ghcr.io/huggingface/text-generation-inference:3.3.7"
    digest = f"{tag.partition(':')[0]}@sha256:{'1' * 64}"
    (history / "images.json").write_text(json.dumps({tag: digest}), encoding="utf-8")

    compose("-o", "there")

    text = (tmp_path / "there" / "compose.yaml").read_text(encoding="utf-8")
    assert f"image: {digest}\n" in text
    assert f"scout.image: {tag}\n" in text


def test_compose_refuses_a_profile_of_local_processes() -> None:
    error = refused(ProfileError, "compose", "--profile", "embedded")

    assert error.next_step == "scout-deploy render systemd --profile embedded"


def test_systemd_refuses_a_profile_of_containers_which_docker_itself_starts_again() -> None:
    error = refused(ProfileError, "systemd", "--profile", "a100-4bit")

    assert "needs no unit" in error.message


def test_systemd_prints_a_unit_of_this_installation(tmp_path: Path) -> None:
    unit = render("systemd", "--name", "mine", "--set", "proxy.port=2026").stdout

    command = " ".join(own_command())
    assert f"ExecStart={command} up --profile embedded --name mine --set proxy.port=2026\n" in unit
    assert f"Environment=XDG_STATE_HOME={tmp_path}/state\n" in unit
    assert own_command()[0].startswith(str(Path(sys.executable).parent))


def test_systemd_keeps_values_of_variables_out_of_the_unit(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("API_NAME", "a-secret-value")
    folder.write("mine", "extends: embedded\napi:\n  name: ${env:API_NAME}\n")

    unit = render("systemd", "--profile", "./mine.yaml").stdout

    assert "a-secret-value" not in unit
    assert f"EnvironmentFile={tmp_path}/config/scout-deploy/scout.env\n" in unit
    assert f"--profile {tmp_path}/mine.yaml" in unit


def test_systemd_writes_a_file_where_it_is_told(tmp_path: Path) -> None:
    said = json.loads(render("systemd", "-o", "units/scout.service", "--json").stdout)

    assert (tmp_path / "units" / "scout.service").read_text(encoding="utf-8") == said["unit"]
    assert refused(DeployError, "systemd", "-o", "units/scout.service").next_step is not None
