"""Locust's own command line with our locustfile, against an API whose latency and failures are known."""

import subprocess
import sys
from pathlib import Path

from fakes.timed_api import timed_api

LOCUSTFILE = Path(__file__).parents[3] / "loadtests/locustfile.py"


def locust(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


def rows(said: str) -> dict[str, list[str]]:
    table = said[said.index("Token metrics") :].splitlines()
    return {line.split()[0]: line.split()[1:] for line in table[4:] if line and not line.startswith("-")}


def test_users_ask_in_a_closed_loop_and_token_metrics_end_the_run(tmp_path: Path) -> None:
    data = tmp_path / "mine.jsonl"
    data.write_text('{"prompt": "Tell me about the sea.", "max_length": 9}\n')
    options = ("-u", "2", "-r", "2", "-t", "2s", "--stop-timeout", "5", "--data", str(data))
    with timed_api(tmp_path, first_ms=50, token_ms=2) as api:
        said = locust("--host", api.url, *options, "MixedUser", "ChatUser")
        asked = api.bodies()

    assert said.returncode == 0, said.stderr
    found = rows(said.stderr)
    assert "TTFT" in said.stderr[: said.stderr.index("Token metrics")]
    requests, failed, ttft_p50 = found["all"][:3]
    assert (int(requests), failed) == (len(asked), "0")
    assert all("Tell me about the sea." in body for body in asked)
    assert 49 <= float(ttft_p50) <= 1000


def test_a_schedule_sends_whatever_is_answered_and_failures_are_the_exit_status(tmp_path: Path) -> None:
    options = (
        "--arrival",
        "constant",
        "--rate",
        "20",
        "-t",
        "2s",
        "--stop-timeout",
        "5",
        "--seed",
        "4",
        "StreamedUser",
    )
    with timed_api(tmp_path, first_ms=500, token_ms=1, fail_every=10) as api:
        said = locust("--host", api.url, *options)
        asked = api.bodies()

    assert said.returncode == 1
    found = rows(said.stderr)
    # One user in a closed loop would have sent four.
    assert len(asked) >= 10
    assert found["streamed"][0] == str(len(asked))
    assert f"failed: {len(asked) // 10} x server error" in said.stderr


def test_wrong_input_is_told_before_anything_is_sent() -> None:
    said = locust("--arrival", "poisson", "--host", "http://127.0.0.1:1", "-t", "1s")

    assert said.returncode == 2
    assert said.stderr.endswith("error: poisson arrivals have no rate\nnext: add --rate, in requests a second\n")
    assert "Traceback" not in said.stderr
