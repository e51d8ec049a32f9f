"""The list of commands, and what is not imported for it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scout_deploy.cli.app import COMMANDS, load_command, run_command_line
from scout_deploy.errors import CommandLineError

# Each takes as long to import as all of ours.
_HEAVY = {"docker", "huggingface_hub", "xllamacpp"}
_LOADED_AFTER = f"""
import sys
from scout_deploy.__main__ import main

try:
    main()
except SystemExit:
    pass
print("loaded:", *sorted({_HEAVY!r} & sys.modules.keys()))
"""


@pytest.mark.parametrize(
    "command", [("version",), ("--help",), ("profiles", "list"), ("profiles", "--help"), ("nonsense",)], ids=" ".join
)
def test_what_asks_no_daemon_and_no_hub_does_not_load_their_libraries(command: tuple[str, ...]) -> None:
    result = subprocess.run(
        [sys.executable, "-c", _LOADED_AFTER, *command], capture_output=True, text=True, check=True, timeout=60
    )

    assert result.stdout.splitlines()[-1].split() == ["loaded:"]


@pytest.mark.parametrize("name", COMMANDS)
def test_list_of_commands_says_what_the_command_itself_says(name: str) -> None:
    own_help = load_command(name).help

    assert own_help.split("\n\n")[0] == COMMANDS[name]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--json", "No such option: --json"),
        ("nonsense --json", "No such command 'nonsense'."),
        ("keys nonsense --json", "No such command 'nonsense'."),
        ("status --json --nope", "No such option: --nope"),
        ("status one another --json", "Got unexpected extra argument(s) (another)"),
        ("generate --json", "Missing argument 'prompt'."),
        ("bench run --json --users", "Option '--users' requires an argument."),
    ],
)
def test_a_wrong_command_line_that_asks_for_json_is_an_error_like_any_other(
    monkeypatch: pytest.MonkeyPatch, line: str, expected: str
) -> None:
    monkeypatch.setattr("sys.argv", ["scout-deploy", *line.split()])
    # Typer sets its own.
    monkeypatch.setattr("sys.excepthook", sys.excepthook)

    with pytest.raises(CommandLineError) as raised:
        run_command_line(as_json=True)

    assert raised.value.message == expected
    assert raised.value.next_step is not None
    assert raised.value.next_step.startswith("scout-deploy ")
    assert raised.value.exit_code == 2


def test_a_wrong_command_line_is_one_line_of_json_where_that_is_asked_for() -> None:
    asked = [sys.executable, "-m", "scout_deploy", "keys", "new", "--json", "--max-concurrent", "0", "name"]
    result = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60)

    assert (result.returncode, result.stderr) == (2, "")
    (line,) = result.stdout.splitlines()
    said = json.loads(line)
    assert (said["event"], said["error"], said["exit_code"]) == ("error", "CommandLineError", 2)
    assert "--max-concurrent" in said["message"]


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("version >&-", 0),
        ("profiles show nosuch --json >&-", 2),
        ("profiles show nosuch --json >/dev/full", 2),
        ("profiles show nosuch >&- <&- 2>&-", 2),
    ],
)
def test_an_output_that_takes_nothing_changes_no_exit_status_and_shows_no_traceback(line: str, status: int) -> None:
    shell = ["sh", "-c", f'"$0" -m scout_deploy {line}', sys.executable]
    result = subprocess.run(shell, capture_output=True, text=True, check=False, timeout=60)

    assert (result.returncode, result.stdout, result.stderr) == (status, "", "")


def test_a_working_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    shell = ["sh", "-c", 'rmdir "$1" && exec "$0" -m scout_deploy profiles list', sys.executable, str(folder)]
    result = subprocess.run(shell, cwd=folder, capture_output=True, text=True, check=False, timeout=60)

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "error: the folder that this runs in is gone\nnext: cd to a folder that is there\n"
