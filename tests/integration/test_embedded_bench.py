"""`scout-deploy bench` over a real deployment of the embedded engine: real requests, real files, real signals."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.command_line import COMMAND, TIMEOUT_S, CommandLine, command_line

ROOT = Path(__file__).parents[2]
# A busy machine gives answers in the second that is measured only where they are short.
DATA = "short.jsonl"
SHORT = ("--quick", "--users", "1", "--duration", "1", "--no-search", "--data", DATA)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    with command_line(tmp_path_factory.mktemp("bench")) as cli:
        (cli.home / DATA).write_text('{"input_tokens": 8, "output_tokens": 3}\n', encoding="utf-8")
        cli.up()
        yield cli


def in_a_ci(running: CommandLine, changes: str) -> subprocess.CompletedProcess[str]:
    """Run the line of the documented job, with other options behind its own, in the shell of the job."""
    (line,) = re.findall(r"- run: (scout-deploy bench .*)", (ROOT / "loadtests/README.md").read_text(encoding="utf-8"))
    path = os.pathsep.join((str(Path(COMMAND).parent), os.environ["PATH"]))
    return subprocess.run(
        ["bash", "-e", "-c", line.replace(" > ", f" {changes} > ")],
        env={**running.environment, "PATH": path},
        cwd=running.home,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_a_run_is_measured_reported_kept_and_found_again(running: CommandLine, tmp_path: Path) -> None:
    # Longer than a busy machine stands still.
    result = running.run("bench", *SHORT, "--duration", "5", "--json", "--output", str(tmp_path))

    assert result.returncode == 0, result.stdout + result.stderr
    events = [json.loads(line) for line in result.stdout.splitlines()]
    (step,) = [event for event in events if event["event"] == "step"]
    summary = events[-1]
    assert step["figures"]["succeeded"] > 0
    assert step["figures"]["errors"] == {}
    assert (summary["event"], summary["deployment"], summary["model"]) == ("summary", "scout", "scout-demo")
    assert "<html" in Path(summary["report"]).read_text(encoding="utf-8")
    assert Path(summary["report"]).parent == tmp_path
    listed = json.loads(running.run("bench", "list", "--json").stdout)["runs"]
    assert [run["id"] for run in listed] == [summary["id"]]
    again = running.run("bench", "report", summary["id"], "--output", str(tmp_path / "again"))
    assert (tmp_path / "again" / f"{summary['id']}.html").is_file(), again.stderr
    alone = running.run("bench", "compare", summary["id"], summary["data"])
    assert alone.returncode == 2
    assert "both sides" in alone.stderr


def test_a_changed_service_level_is_judged_by_at_once_and_a_rate_that_misses_it_is_the_exit_status(
    running: CommandLine,
) -> None:
    engine = running.pid("engine")
    running.up("--replace", "--set", "service_level.ttft_p99_ms=0.01", "--set", "service_level.tpot_p99_ms=1000")
    missed = in_a_ci(running, f"--quick --users 1 --duration 1 --data {DATA} --min-rate 20")

    assert running.pid("engine") == engine
    assert missed.returncode == 19, missed.stderr
    events = [json.loads(line) for line in (running.home / "bench.jsonl").read_text(encoding="utf-8").splitlines()]
    (summary,) = [event for event in events if event["event"] == "summary"]
    error = events[-1]
    (tried,) = [event for event in events if event["event"] == "step" and event["rate"] == 20]
    assert summary["service_level"] == {"ttft_p99_ms": 0.01, "tpot_p99_ms": 1000.0, "e2e_p99_ms": None, "goodput": None}
    if tried["client"]["reason"] is None:
        assert (summary["is_held"], summary["lowest_failed_rate"], summary["highest_rate"]) == (False, 20.0, None)
        assert error["message"] == "20 requests/s do not hold the service level; no rate that was tried does"
        assert "requests were beyond TTFT 0.01 ms; the slowest took" in error["evidence"][0]
    else:
        # The machine was busy with other tests, so nothing is said of the service.
        assert (summary["is_held"], summary["lowest_failed_rate"], summary["highest_rate"]) == (None, None, None)
        assert error["message"].startswith("20 requests/s were not seen to hold the service level, nor to miss it; ")
    assert error["next_step"] == f"see {summary['report']}"
    assert Path(summary["report"]).parent == Path("report")
    assert (running.home / summary["report"]).is_file()


def test_ctrl_c_writes_the_report_of_what_was_measured(running: CommandLine) -> None:
    process = running.start("bench", "scout", "--users", "1", "--duration", "60", "--json")
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "progress":
            break
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=TIMEOUT_S)

    assert process.returncode == 130, errors
    summary = json.loads(printed.splitlines()[-1])
    assert summary["interrupted"] == "Ctrl-C"
    assert Path(summary["report"]).is_file()
    assert (running.home / "state/scout-deploy/benchmarks") in Path(summary["data"]).parents
    assert json.loads(Path(summary["data"]).read_text(encoding="utf-8"))["steps"]


def test_an_api_that_is_not_there_is_said_before_anything_is_measured(running: CommandLine) -> None:
    result = running.run("bench", "--url", "http://127.0.0.1:1", *SHORT)

    assert result.returncode == 15
    assert "nobody answers at http://127.0.0.1:1" in result.stderr
    assert "next: check --url" in result.stderr


def test_what_is_wrong_with_the_options_is_said_before_anything_is_measured(
    running: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "bad.jsonl").write_text("{]\n", encoding="utf-8")
    wrong = {
        ("--output", str(tmp_path / "file" / "below")): "--output: nothing can be written to",
        ("--users", "1,x"): "--users: got '1,x'",
        ("--data", str(tmp_path / "bad.jsonl")): "bad.jsonl",
        ("--mix", "nonsense=1"): "nonsense",
        ("--min-rate", "0.5"): "are too short to judge 0.5 requests/s by; the lowest that can be judged is 3.5/s",
    }

    for options, words in wrong.items():
        result = running.run("bench", *SHORT, *options)

        assert result.returncode == 2, result.stderr
        assert words in result.stderr
