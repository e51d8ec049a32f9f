"""Locust's own command line with our locustfile, against an API whose latency and failures are known.

Each run of Locust takes more than a second of processor time to begin: its closed loop is tested with its workers.
"""

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


def test_a_schedule_sends_whatever_is_answered_and_failures_are_the_exit_status(tmp_path: Path) -> None:
    options = (
        "--arrival",
        "constant",
        "--rate",
        "20",
        "-t",
        "2s",
        # What was asked for is counted when it has ended, on a busy machine too.
        "--stop-timeout",
        "60",
        "--seed",
        "4",
        "--ttft-target",
        "600000",
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
    assert found["streamed"][-1] == f"{1 - len(asked) // 10 / len(asked):.1%}"
    assert f"failed: {len(asked) // 10} x server error" in said.stderr


def test_requests_that_nobody_answered_until_the_end_are_told(tmp_path: Path) -> None:
    with timed_api(tmp_path, first_ms=600_000, token_ms=1) as api:
        said = locust("--host", api.url, "--arrival", "constant", "--rate", "5", "-t", "2s", "StreamedUser")

    (line,) = [line for line in said.stderr.splitlines() if line.startswith("unanswered at the end: ")]
    assert int(line.split()[4].rstrip(",")) >= 1
    assert rows(said.stderr)["all"][0] == "0"


def test_wrong_input_is_told_before_anything_is_sent() -> None:
    said = locust("--arrival", "poisson", "--host", "http://127.0.0.1:1", "-t", "1s")

    assert said.returncode == 2
    assert said.stderr.endswith("error: poisson arrivals have no rate\nnext: add --rate, in requests a second\n")
    assert "Traceback" not in said.stderr
