"""The command line over real deployments of the embedded engine."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.command_line import TIMEOUT_S, CommandLine, command_line
from fakes.held_engine import HeldEngine
from scout_deploy.model_file import demonstration_model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """A deployment that the tests look at and do not change."""
    with command_line(tmp_path_factory.mktemp("running")) as cli:
        cli.up()
        yield cli


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[CommandLine]:
    with command_line(tmp_path) as empty:
        yield empty


def test_up_prints_the_url_and_a_curl_line_in_plain_text(cli: CommandLine) -> None:
    printed = cli.up().stdout

    assert f"http://127.0.0.1:{cli.port}\n" in printed
    assert f"curl -s http://127.0.0.1:{cli.port}/generate" in printed
    assert "\x1b" not in printed
    assert [phase for phase in ("load", "warm-up", "first generation") if phase in printed] == [
        "load",
        "warm-up",
        "first generation",
    ]


def test_up_prints_one_json_event_on_each_line(cli: CommandLine) -> None:
    events = [json.loads(line) for line in cli.up("--json").stdout.splitlines()]

    assert events[-1]["event"] == "ready"
    assert events[-1]["url"] == cli.url
    assert {event["event"] for event in events[:-1]} == {"phase"}


def test_up_again_does_nothing_and_says_so(running: CommandLine) -> None:
    before = running.pid("engine")

    printed = running.up().stdout

    assert "Already running, unchanged" in printed
    assert running.pid("engine") == before


def test_up_with_another_setting_says_what_differs(running: CommandLine) -> None:
    result = running.run("up", "--port", str(running.port), "--set", "engine.slots=2")

    assert result.returncode == 13
    assert "engine/slots: 8 -> 2" in result.stderr
    assert "next: scout-deploy down scout" in result.stderr


def test_up_on_a_port_that_another_deployment_has_names_it(running: CommandLine) -> None:
    result = running.run("up", "--name", "second", "--port", str(running.port))

    assert result.returncode == 6
    assert f"port {running.port} is taken by" in result.stderr
    assert "scout_proxy" in result.stderr
    assert "next: scout-deploy down scout" in result.stderr


def test_up_on_a_port_that_somebody_has_names_who(cli: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", cli.port)):
        result = cli.run("up", "--port", str(cli.port))

    assert result.returncode == 6
    assert f"pid {os.getpid()}" in result.stderr
    assert cli.processes() == ()


def test_status_shows_what_runs(running: CommandLine) -> None:
    printed = running.run("status").stdout

    assert "scout: ready" in printed
    assert "scout-demo" in printed
    assert str(running.pid("engine")) in printed


def test_logs_show_every_role(running: CommandLine) -> None:
    everything = running.run("logs").stdout
    engine = running.run("logs", "--role", "engine", "--tail", "1").stdout

    assert "engine     | scout-engine: phase=ready" in everything
    assert "proxy      | " in everything
    assert engine.startswith("scout-engine: phase=ready")


def test_logs_follow_shows_new_lines_until_interrupted(running: CommandLine) -> None:
    follower = running.start("logs", "-f", "--tail", "1", "--role", "engine")
    assert follower.stdout is not None
    first = follower.stdout.readline()

    follower.send_signal(signal.SIGINT)
    follower.communicate(timeout=TIMEOUT_S)

    assert first.startswith("scout-engine: phase=ready")
    assert follower.returncode == 130


def test_generate_prints_texts(running: CommandLine) -> None:
    result = running.run("generate", "--max-length", "8", "--num-sequences", "2", "--json", "A short story")
    body = json.loads(result.stdout)

    assert result.returncode == 0
    assert len(body["generated_texts"]) == 2
    assert body["parameters"]["max_length"] == 8


def test_generate_shows_what_the_api_refuses(running: CommandLine) -> None:
    result = running.run("generate", "--temperature", "-1", "A short story")

    assert result.returncode == 15
    assert "answered with 422: temperature" in result.stderr


def test_generate_without_a_server_says_what_to_do(cli: CommandLine) -> None:
    result = cli.run("generate", "--url", cli.url, "A short story")

    assert result.returncode == 15
    assert "next: scout-deploy status, or scout-deploy up" in result.stderr


def test_down_leaves_nothing_behind_and_is_idempotent(cli: CommandLine) -> None:
    cli.up()

    first, second = cli.run("down"), cli.run("down")

    assert (first.returncode, second.returncode) == (0, 0)
    assert second.stdout == "Nothing is running.\n"
    assert cli.processes() == ()
    assert cli.deployments() == []


def test_make_down_takes_what_make_up_started_and_nothing_else(cli: CommandLine) -> None:
    cli.up("--name", "another")
    make = ["make", "--dry-run", "down", f"VENV={sys.prefix}"]
    printed = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (command,) = [line for line in printed.splitlines() if "scout-deploy" in line]

    down = subprocess.run(["sh", "-c", command], env=cli.environment, capture_output=True, text=True, check=False)

    assert (down.returncode, down.stderr.splitlines()[0]) == (
        0,
        "error: no deployment is named 'scout'; there are: another",
    )
    assert cli.deployments() == ["another"]


def test_down_finishes_what_is_in_flight(cli: CommandLine) -> None:
    cli.up()
    # So hot that the model rarely ends by itself: a request that lasts.
    hot = ("--temperature", "10000", "--top-p", "1", "--top-k", "0", "--max-length", "500", "--num-sequences", "4")
    with cli.start("generate", *hot, "--json", "Once upon a time") as request:
        wait_in_flight(cli)

        cli.run("down")
        printed, _ = request.communicate(timeout=TIMEOUT_S)

    assert len(json.loads(printed)["generated_texts"]) == 4


def wait_in_flight(cli: CommandLine) -> None:
    """Return once the proxy says that a request is being worked on."""
    deadline = time.monotonic() + 60
    while cli.proxy_status()["in_flight"] == 0:
        assert time.monotonic() < deadline, "no request was ever in flight"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--profile", "embeded"), 2, "no profile is named 'embeded'; did you mean embedded"),
        (("--profile", "./nowhere.yaml"), 2, "nowhere.yaml"),
        (("--set", "proxy.prot=1"), 2, "did you mean port?"),
        (("--set", "model.path=/nowhere/model.gguf"), 10, "/nowhere/model.gguf"),
        (("--set", "proxy.keys.variable=KEYS"), 2, "proxy/keys"),
        (("--set", "proxy.host=192.0.2.1"), 1, "cannot listen on 192.0.2.1"),
        (("--name", "../elsewhere"), 2, "--name: got '../elsewhere'"),
        (("--port", "0"), 2, "proxy/port"),
        (("--timeout", "0"), 2, "--timeout"),
    ],
)
def test_a_wrong_up_is_explained_and_leaves_nothing(
    cli: CommandLine, arguments: tuple[str, ...], status: int, message: str
) -> None:
    result = cli.run("up", *arguments)

    assert (result.returncode, "Traceback" in result.stderr) == (status, False), result.stderr
    assert message in result.stderr
    assert cli.deployments() == []


def test_ctrl_c_while_the_command_is_imported_shows_no_traceback(cli: CommandLine) -> None:
    folder = cli.home / "first-on-the-path"
    folder.mkdir()
    (folder / "typer.py").write_text("raise KeyboardInterrupt\n", encoding="utf-8")

    result = cli.run("version", variables={"PYTHONPATH": str(folder)})

    assert (result.returncode, result.stderr) == (130, "interrupted\n")


def test_a_profile_for_containers_says_what_works_without_docker(cli: CommandLine) -> None:
    absent = {"DOCKER_HOST": f"unix://{cli.home}/docker.sock"}

    result = cli.run("up", "--profile", "a100-4bit", variables=absent)

    assert (result.returncode, "Traceback" in result.stderr) == (3, False), result.stderr
    assert "the profile 'embedded' needs no Docker" in result.stderr


def test_a_plan_for_gpus_needs_neither_gpus_nor_docker(cli: CommandLine) -> None:
    absent = {"DOCKER_HOST": f"unix://{cli.home}/docker.sock", "HF_TOKEN": "hf_never_shown"}

    result = cli.run("up", "--profile", "a100-4bit", "--dry-run", "--json", variables=absent)

    plan = json.loads(result.stdout)
    (engine,) = plan["engines"]
    assert engine["environment"]["NUM_SHARD"] == "1"
    assert engine["gpus"] == {"vendor": "nvidia", "ids": ["0"], "access": "device-request"}
    assert all(mount["read_only"] for mount in engine["mounts"])
    assert plan["proxy"]["ports"] == [{"container_port": 2025, "host": "127.0.0.1", "port": 2025}]
    assert "hf_never_shown" not in result.stdout + result.stderr


def test_an_error_under_json_is_one_json_object(cli: CommandLine) -> None:
    result = cli.run("up", "--profile", "embeded", "--json")

    (event,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert (event["event"], event["error"], event["exit_code"]) == ("error", "ProfileError", 2)
    assert result.stderr == ""


def test_a_model_whose_weights_are_cut_off_fails_with_its_reason(cli: CommandLine) -> None:
    whole = demonstration_model().read_bytes()
    corrupt = cli.home / "corrupt.gguf"
    corrupt.write_bytes(whole[: len(whole) // 2])

    result = cli.run("up", "--port", str(cli.port), "--set", f"model.path={corrupt}")

    assert result.returncode == 10
    assert str(corrupt) in result.stderr


def test_a_state_directory_that_cannot_be_written_is_named(cli: CommandLine) -> None:
    (cli.home / "state").write_text("a file, not a directory", encoding="utf-8")

    result = cli.run("up", "--port", str(cli.port))
    (cli.home / "state").unlink()

    assert result.returncode == 11
    assert "XDG_STATE_HOME" in result.stderr
    assert "Traceback" not in result.stderr


def test_two_ups_at_once_are_told_apart(cli: CommandLine) -> None:
    arguments = ("up", "--port", str(cli.port))
    both = [cli.start(*arguments), cli.start(*arguments)]

    ends = [process.communicate(timeout=TIMEOUT_S) for process in both]
    statuses = sorted(process.returncode for process in both)

    # The slower one finds the other at work, or its finished work.
    assert statuses in ([0, 0], [0, 12]), ends
    if statuses == [0, 12]:
        assert any("is being changed by scout-deploy up" in stderr for _, stderr in ends)


def test_ctrl_c_takes_back_what_was_begun(cli: CommandLine) -> None:
    # It is never ready, however late the signal comes.
    held = HeldEngine(cli.home / "held")
    process = cli.start("up", "--port", str(cli.port), variables=held.variables)
    assert process.stdout is not None
    while " start" not in process.stdout.readline():
        assert process.poll() is None

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=TIMEOUT_S)

    assert process.returncode == 130
    assert cli.processes() == ()
    assert cli.deployments() == []


def test_an_unknown_command_is_a_usage_error(cli: CommandLine) -> None:
    result = cli.run("upp")

    assert result.returncode == 2
    assert "up" in result.stderr


def test_an_unknown_deployment_lists_those_there_are(running: CommandLine) -> None:
    result = running.run("status", "scuot")

    assert result.returncode == 9
    assert "no deployment is named 'scuot'; there are: scout" in result.stderr
