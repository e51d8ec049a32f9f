"""`infra/install.sh`, with a stand-in for the Python interpreter that notes what it is asked to do."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "infra" / "install.sh"
PYTHON = """#!/bin/sh
echo "$@" >>"{calls}"
case "$*" in
    "--version") echo "Python 3.11.0" ;;
    "-m venv --clear "*) rm -rf "$4" && mkdir -p "$4/bin" && cp "$0" "$4/bin/python" && cp "$0" "$4/bin/scout-deploy" ;;
esac
"""


class Checkout:
    """A checkout with nothing in it but what the script reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "my checkout"
        self.folder.mkdir()
        for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
            (self.folder / name).touch()
        self.python = folder / "my python"
        self.calls = folder / "calls"
        self.python.write_text(PYTHON.format(calls=self.calls), encoding="utf-8")
        self.python.chmod(0o700)

    def install(self) -> list[str]:
        """Run the script and return what the interpreter was asked to do with `-m`, shortly."""
        self.calls.write_text("", encoding="utf-8")
        environment = {**os.environ, "PYTHON": str(self.python)}
        subprocess.run([SCRIPT, "run"], cwd=self.folder, env=environment, check=True, capture_output=True)
        lines = self.calls.read_text(encoding="utf-8").splitlines()
        return [line.split()[1] for line in lines if line.startswith("-m ")]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_a_fresh_checkout_is_installed_once(checkout: Checkout) -> None:
    assert checkout.install() == ["venv", "pip", "pip"]
    assert checkout.install() == []


def test_a_changed_lock_is_installed_into_what_is_there(checkout: Checkout) -> None:
    checkout.install()
    (checkout.folder / "requirements.lock").write_text("another", encoding="utf-8")

    assert checkout.install() == ["pip", "pip"]


def test_a_copied_checkout_gets_an_environment_of_its_own(checkout: Checkout) -> None:
    checkout.install()
    copy = checkout.folder.with_name("copy")
    shutil.copytree(checkout.folder, copy)
    checkout.folder = copy

    assert checkout.install() == ["venv", "pip", "pip"]


def test_an_environment_whose_interpreter_is_gone_is_made_again(checkout: Checkout) -> None:
    checkout.install()
    interpreter = checkout.folder / ".venv" / "bin" / "python"
    interpreter.unlink()
    interpreter.symlink_to("/nowhere/python3")

    assert checkout.install() == ["venv", "pip", "pip"]
