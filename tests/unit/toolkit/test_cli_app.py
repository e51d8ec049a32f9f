"""The list of commands, and what is not imported for it."""

import subprocess
import sys

import pytest

from scout_deploy.cli.app import COMMANDS, load_command

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
