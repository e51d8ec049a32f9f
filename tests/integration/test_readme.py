"""What the README says is run: its commands in their order, its Python, its profile, its table of exit statuses."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from fakes.no_docker import without_docker
from fakes.this_machine import unused_port
from scout_deploy.errors import DeployError
from scout_deploy.profile.catalogue import profile_files, shipped_profiles_dir

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE_README = (ROOT / "README.zh.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[str]:
    """Return the shell commands, a continued line as one; `make` runs in CI, on a clean checkout."""
    joined = "".join(blocks("sh", text)).replace("\\\n", " ")
    return [line for line in joined.splitlines() if not line.startswith("make ")]


@pytest.fixture(scope="module")
def port() -> int:
    return unused_port()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Mapping[str, str]]:
    folder = tmp_path_factory.mktemp("readme")
    own = {"XDG_STATE_HOME": str(folder / "state"), "XDG_CONFIG_HOME": str(folder / "config")}
    surroundings = {**os.environ, **own, **without_docker(folder)}
    up = [str(BIN / "scout-deploy"), "up", "--port", str(port)]
    subprocess.run(up, env=surroundings, check=True, capture_output=True, timeout=100)
    yield surroundings
    # The README's own commands end with it.
    subprocess.run([str(BIN / "scout-deploy"), "down"], env=surroundings, check=False, capture_output=True, timeout=100)


def on_test_port(text: str, port: int) -> str:
    local = text.replace("localhost:2025", f"localhost:{port}").replace(".venv/bin/", f"{BIN}/")
    local = local.replace("api_examples", f"api_examples --url http://localhost:{port}")
    return local.replace("up --profile embedded", f"up --profile embedded --port {port}")


def test_the_python_of_the_readme_works(environment: Mapping[str, str], port: int) -> None:
    for block in blocks("python"):
        result = subprocess.run(
            [sys.executable, "-c", on_test_port(block, port)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert result.returncode == 0, result.stderr
        assert result.stdout.strip()


def test_every_command_of_both_readmes_works(environment: Mapping[str, str], port: int) -> None:
    """Those that only the Chinese one has, and all of the other in their order: they end with `down`."""
    listed, chinese = commands(README), commands(CHINESE_README)
    assert min(len(listed), len(chinese)) >= 7
    same = {without_comment(command) for command in listed}
    only_chinese = [command for command in chinese if without_comment(command) not in same]

    for command in (*only_chinese, *listed):
        result = subprocess.run(
            ["bash", "-ec", on_test_port(command, port)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

        assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
        assert result.stdout, command
        if command.startswith("curl") and "/generate" in command:
            assert '"generated_texts"' in result.stdout


def without_comment(command: str) -> str:
    return command.partition("  #")[0].rstrip()


def test_the_readme_has_a_whole_profile() -> None:
    assert len([block for block in blocks("yaml") if "\nextends: " in block]) == 1


@pytest.mark.parametrize("block", blocks("yaml"))
def test_the_profiles_of_the_readme_are_valid(tmp_path: Path, block: str) -> None:
    path = tmp_path / "mine.yaml"
    # A part of one is of any profile.
    path.write_text(block if "\nextends: " in block else f"extends: embedded\n{block}", encoding="utf-8")

    result = subprocess.run(
        [str(BIN / "scout-deploy"), "profiles", "validate", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == 0, result.stderr


def test_the_readme_lists_every_exit_status() -> None:
    listed = {int(status) for status in re.findall(r"^\| (\d+) \|", README, flags=re.MULTILINE)}

    assert listed == {0, 1, 130} | {kind.exit_code for kind in DeployError.__subclasses__()}


def test_the_readme_lists_every_shipped_profile_for_scout() -> None:
    names = profile_files((shipped_profiles_dir(),)).keys() - {"embedded"}

    assert names <= set(re.findall(r"`([a-z0-9-]+)`", README))
