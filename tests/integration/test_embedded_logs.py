"""What a profile says of the proxy's log and spans, over a real deployment of the embedded engine."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from fakes.command_line import CommandLine, command_line
from fakes.otlp_receiver import OtlpReceiver, attributes, otlp_receiver
from fakes.running_proxy import wait_until

WORD = "a-word-that-the-receiver-asks-for"


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with otlp_receiver() as running:
        yield running


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[CommandLine]:
    with command_line(tmp_path) as empty:
        yield empty


def request_ids(receiver: OtlpReceiver) -> set[str]:
    return {attributes(span.attributes).get("scout.request_id", "") for span in receiver.spans}


def test_requests_are_logged_and_traced_as_the_profile_says(cli: CommandLine, receiver: OtlpReceiver) -> None:
    (cli.home / "mine.yaml").write_text(
        f"extends: embedded\nproxy:\n  log: {{format: json, access: all}}\n  tracing: {{endpoint: '{receiver.url}'}}\n",
        encoding="utf-8",
    )
    variables = {"OTEL_EXPORTER_OTLP_HEADERS": f"x-receiver-key={WORD}", "OTEL_BSP_SCHEDULE_DELAY": "50"}
    start = ("up", "--profile", "./mine.yaml", "--port", str(cli.port))
    planned = cli.run(*start, "--dry-run", variables=variables)
    assert f"--log-format json --access-log all --otlp-endpoint {receiver.url}" in planned.stdout
    started = cli.run(*start, variables=variables)
    assert started.returncode == 0, started.stderr

    asked = {"prompt": "a-prompt-of-mine", "max_length": 2}
    answer = requests.post(f"{cli.url}/generate", json=asked, headers={"X-Request-ID": "mine-1"}, timeout=30)
    assert answer.status_code == 200
    wait_until(lambda: "mine-1" in request_ids(receiver), "the span arrives")
    assert {one["x-receiver-key"] for one in receiver.headers} == {WORD}

    # The supervisor writes it down, which may be later than the span.
    wait_until(lambda: "mine-1" in cli.run("logs", "--role", "proxy").stdout, "the line is written", 60)
    written = cli.run("logs", "--role", "proxy").stdout.splitlines()
    (line,) = [one for one in map(json.loads, written) if one.get("request_id") == "mine-1"]
    assert (line["event"], line["route"], line["status"]) == ("request", "/generate", 200)
    assert not [one for one in written if "a-prompt-of-mine" in one]
    kept = [path for path in (cli.home / "state").rglob("*") if path.is_file()]
    assert not [path for path in kept if WORD.encode() in path.read_bytes()]

    changed = cli.run(*start, "--set", "proxy.log.access=off", variables=variables)
    assert changed.returncode == 13
    assert "  proxy/log/access: all -> off\n" in changed.stderr
