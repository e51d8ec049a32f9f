"""`scout-deploy pull` as a user runs it, against a hub on loopback."""

import json
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fakes.command_line import TIMEOUT_S, CommandLine, command_line
from fakes.hub_server import COMMIT, HubServer
from fakes.running_proxy import wait_until
from fakes.small_model import FETCHED, FILES, FIRST, MODEL, SECOND, TOTAL, assert_whole

WEIGHTS = 16
PROFILE = f"""
model: {{id: {MODEL}}}
engine: {{kind: tgi, version: 3.3.7}}
hardware: {{gpu_count: 1}}
"""


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer() as running:
        running.add(MODEL, FILES)
        yield running


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[CommandLine]:
    (tmp_path / "small.yaml").write_text(PROFILE, encoding="utf-8")
    with command_line(tmp_path) as running:
        yield running


def hub_variables(server: HubServer, home: Path) -> dict[str, str]:
    cache = {"HF_HUB_CACHE": str(home / "cache"), "HF_HOME": str(home / "hf")}
    return {"HF_ENDPOINT": server.endpoint, "HF_TOKEN": "", "HF_HUB_OFFLINE": "", **cache}


def snapshot(home: Path) -> Path:
    return home / "cache" / "models--acme--small-chat" / "snapshots" / COMMIT


def test_a_line_that_breaks_three_times_is_resumed_and_the_files_are_checked(
    cli: CommandLine, server: HubServer, tmp_path: Path
) -> None:
    server.trouble(FIRST).cuts.extend([300_000, 300_000])
    server.trouble(SECOND).cuts.append(300_000)

    # Each break costs a pause of a second before the next try, in which there is something to show.
    result = cli.run("pull", "--profile", "./small.yaml", "--json", variables=hub_variables(server, tmp_path))

    assert (result.returncode, result.stderr) == (0, "")
    assert_whole(snapshot(tmp_path))
    assert [len(server.contents_seen(one)) for one in (FIRST, SECOND)] == [3, 2]
    events = [json.loads(line) for line in result.stdout.splitlines()]
    breaks = [event["detail"] for event in events if event["event"] == "note"]
    here = {f"{size} kB of its 700 kB are here, going on in 1 s" for size in (262, 524)}
    # Of two at once the last is told.
    assert breaks
    assert {one.partition("; ")[2] for one in breaks} <= here
    assert all(f": {server.endpoint} cannot be reached, or the connection broke: " in one for one in breaks)
    assert any("of 1.40 MB" in event["detail"] and 0 < (event.get("percent") or 0) < 100 for event in events[1:-1])
    assert (events[-1]["event"], events[-1]["bytes"]) == ("pulled", TOTAL)


def test_ctrl_c_says_that_nothing_is_lost(cli: CommandLine, server: HubServer, tmp_path: Path) -> None:
    server.trouble(SECOND).hold_after = 300_000
    variables = hub_variables(server, tmp_path)
    process = CommandLine(tmp_path, cli.port, variables={**cli.variables, **variables}).start(
        "pull", "--profile", "./small.yaml"
    )
    with process:
        wait_until(lambda: server.contents_seen(SECOND), "the second file is on its way", TIMEOUT_S)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate()

    assert process.returncode == 130
    assert "Stopped. What came so far is kept: the same command goes on from there." in said


def test_a_killed_pull_loses_nothing_and_the_next_one_goes_on(
    cli: CommandLine, server: HubServer, tmp_path: Path
) -> None:
    server.trouble(SECOND).hold_after = 300_000
    variables = hub_variables(server, tmp_path)
    incomplete = tmp_path / "cache" / "models--acme--small-chat" / "blobs"
    process = CommandLine(tmp_path, cli.port, variables={**cli.variables, **variables}).start(
        "pull", "--profile", "./small.yaml", "--json"
    )
    assert process.stdout is not None
    with process:
        for line in process.stdout:
            # Progress comes once a second at most; the next word may be a second away, and the file already there.
            if json.loads(line).get("percent") or has_begun(incomplete):
                break
        process.send_signal(signal.SIGKILL)
        process.communicate()
    server.release()

    result = cli.run("pull", "--profile", "./small.yaml", "--json", variables=variables)

    assert result.returncode == 0, result.stdout
    last = json.loads(result.stdout.splitlines()[-1])
    assert (last["event"], last["commit"], last["files"], last["bytes"]) == ("pulled", COMMIT, len(FETCHED), TOTAL)
    assert Path(last["path"]) == snapshot(tmp_path)
    assert_whole(snapshot(tmp_path))


def has_begun(blobs: Path) -> bool:
    # What is whole gets another name.
    with suppress(FileNotFoundError):
        return any(one.stat().st_size for one in blobs.glob("*.incomplete"))
    return True


def test_a_gated_model_says_what_to_do_in_one_sentence(cli: CommandLine, server: HubServer, tmp_path: Path) -> None:
    server.add(MODEL, FILES, gated=True)

    result = cli.run("pull", "--profile", "./small.yaml", variables=hub_variables(server, tmp_path))

    assert result.returncode == WEIGHTS
    assert result.stderr.splitlines()[1] == (
        f"next: ask for access on https://huggingface.co/{MODEL}, then set HF_TOKEN to a token of that account from "
        "https://huggingface.co/settings/tokens"
    )
