"""What the embedded engine takes of memory, measured beside what was predicted."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.command_line import CommandLine, command_line
from fakes.engine_process import running_engine
from scout_deploy.embedded_plan import memory_of_command
from scout_deploy.model_file import demonstration_model
from scout_deploy.processes import identify, resident_bytes

# Of what is predicted.
TOLERANCE = 0.1


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[CommandLine]:
    with command_line(tmp_path) as empty:
        yield empty


@pytest.mark.parametrize(
    ("context", "slots", "kv_type"), [(512, 1, "f16"), (4096, 1, "f16"), (8192, 8, "f16"), (4096, 8, "q8_0")]
)
def test_the_memory_of_an_engine_is_as_predicted(context: int, slots: int, kv_type: str) -> None:
    options = ("--context", str(context), "--slots", str(slots), "--kv-cache-dtype", kv_type)
    command = ("--model", str(demonstration_model()), "--model-id", "demo", *options)
    predicted = memory_of_command(command)
    with running_engine(*command) as engine:
        identity = identify(engine.process.pid)
        measured = None if identity is None else resident_bytes(identity)

    assert predicted is not None
    assert measured == pytest.approx(predicted.started, rel=TOLERANCE)


def test_status_shows_predicted_beside_measured(cli: CommandLine) -> None:
    cli.up()

    memory = cli.status()["memory"]
    shown = cli.run("status").stdout

    assert memory["engine_resident_bytes"] == pytest.approx(memory["engine_predicted_bytes"], rel=TOLERANCE)
    assert "MiB resident, 99 MiB predicted" in shown


def test_a_start_is_kept_and_corrects_the_next_plan_on_this_machine(cli: CommandLine) -> None:
    before = plan(cli)
    cli.up()
    taken = cli.status()["memory"]["engine_resident_bytes"]

    after, uncorrected = plan(cli), plan(cli, "--uncorrected")
    shown = cli.run("plan", "--profile", "embedded").stdout

    assert (before["correction"], uncorrected["correction"]) == (None, None)
    assert after["correction"]["starts"] == 1
    # It goes on allocating a little as it serves.
    assert after["started_bytes"] == pytest.approx(taken, rel=0.02)
    assert "learnt here" in shown
    assert "1 start of these settings" in shown


def test_a_second_start_is_predicted_as_corrected(cli: CommandLine) -> None:
    cli.up()
    first = cli.status()["memory"]
    cli.run("down")
    planned = plan(cli)
    cli.up()

    second = cli.status()["memory"]

    assert first["engine_correction_bytes"] == 0
    assert second["engine_predicted_bytes"] == planned["started_bytes"]
    assert second["engine_correction_bytes"] == planned["correction_bytes"]


def plan(cli: CommandLine, *arguments: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(cli.run("plan", "--profile", "embedded", "--json", *arguments).stdout)
    return document
