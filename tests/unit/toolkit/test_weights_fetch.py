"""The download command, as the container of a remote Docker host runs it."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.hub_server import COMMIT, HubServer
from fakes.safetensors_file import safetensors_file
from scout_deploy.weights.fetch import main

FILES = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": safetensors_file(400_000)}
COMMAND = (sys.executable, "-m", "scout_deploy.weights.fetch")


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer() as running:
        running.add("acme/open", FILES)
        running.add("acme/gated", FILES, gated=True).members.add("hf_member")
        running.tokens.add("hf_member")
        yield running


def environment(server: HubServer, home: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "HF_ENDPOINT": server.endpoint}


def test_events_are_lines_of_json_and_the_last_names_the_snapshot(server: HubServer, tmp_path: Path) -> None:
    ended = subprocess.run(
        [*COMMAND, "--model-id", "acme/open", "--revision", "main", "--cache", str(tmp_path / "weights")],
        env=environment(server, tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )

    events = [json.loads(line) for line in ended.stdout.splitlines()]
    snapshot = tmp_path / "weights" / "models--acme--open" / "snapshots" / COMMIT
    assert (ended.returncode, ended.stderr) == (0, "")
    assert events[0] == {"event": "progress", "done_bytes": 0, "total_bytes": 400_004, "file": None}
    assert events[-2] == {"event": "progress", "done_bytes": 400_004, "total_bytes": 400_004, "file": None}
    assert events[-1] == {"event": "done", "snapshot": str(snapshot), "commit": COMMIT}
    assert (snapshot / "model.safetensors").read_bytes() == FILES["model.safetensors"]


def test_the_token_comes_from_its_file_and_not_from_the_environment(server: HubServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("hf_member\n")
    command = [*COMMAND, "--model-id", "acme/gated", "--cache", str(tmp_path / "weights")]
    logged_in = {**environment(server, tmp_path), "HF_TOKEN": "hf_member"}

    without = subprocess.run(command, env=logged_in, capture_output=True, text=True, check=False)
    with_file = subprocess.run(
        [*command, "--token-file", str(token)],
        env=environment(server, tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )

    error = json.loads(without.stdout.splitlines()[-1])
    assert without.returncode == 16
    assert (error["event"], error["exit_code"]) == ("error", 16)
    assert "no token was given" in error["message"]
    assert "https://huggingface.co/acme/gated" in error["next_step"]
    assert with_file.returncode == 0
    assert "hf_member" not in f"{with_file.stdout}{with_file.stderr}{without.stdout}{without.stderr}"


def test_sigterm_ends_it_at_once_and_leaves_no_half_file(server: HubServer, tmp_path: Path) -> None:
    server.trouble("model.safetensors").hold_after = 300_000
    with subprocess.Popen(
        [*COMMAND, "--model-id", "acme/open", "--cache", str(tmp_path / "weights")],
        env=environment(server, tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if json.loads(line)["done_bytes"] > 250_000:
                break
        process.send_signal(signal.SIGTERM)
        status = process.wait(60)

        assert status == 130
        assert process.stderr.read() == ""
    snapshot = tmp_path / "weights" / "models--acme--open" / "snapshots" / COMMIT
    assert not (snapshot / "model.safetensors").exists()


def test_offline_the_cache_is_used_and_what_it_lacks_is_said(server: HubServer, tmp_path: Path) -> None:
    command = [*COMMAND, "--cache", str(tmp_path / "weights"), "--model-id"]
    first = subprocess.run(
        [*command, "acme/open"], env=environment(server, tmp_path), capture_output=True, text=True, check=False
    )
    offline = {**environment(server, tmp_path), "HF_HUB_OFFLINE": "1"}

    again = subprocess.run([*command, "acme/open"], env=offline, capture_output=True, text=True, check=False)
    other = subprocess.run([*command, "acme/other"], env=offline, capture_output=True, text=True, check=False)

    assert again.stdout.splitlines()[-1] == first.stdout.splitlines()[-1]
    assert other.returncode == 16
    assert "HF_HUB_OFFLINE forbids to ask the hub" in json.loads(other.stdout)["message"]


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\xff\xfe", "cannot be read: it is not text"),
        (b"hf_a hf_b", "is not a token"),
    ],
)
def test_a_token_file_that_holds_none_is_an_error_that_does_not_show_it(
    tmp_path: Path, contents: bytes | None, said: str
) -> None:
    file = tmp_path / "token"
    if contents is not None:
        file.write_bytes(contents)
    output = io.StringIO()

    status = main(["--model-id", "acme/open", "--cache", str(tmp_path / "weights"), "--token-file", str(file)], output)

    assert status == 16
    assert said in json.loads(output.getvalue())["message"]
    assert "hf_a" not in output.getvalue()
