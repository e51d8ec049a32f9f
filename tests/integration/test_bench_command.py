"""`scout-deploy bench` as a person meets it: at a terminal, on a disk that is full, and without its extra."""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.command_line import COMMAND, CommandLine
from fakes.no_docker import without_docker
from fakes.running_proxy import wait_until
from fakes.terminal import CTRL_C, terminal
from fakes.timed_api import TimedApi, timed_api

# A busy machine gives answers in the seconds that are measured only where they are short.
DATA = "short.jsonl"
QUICK = ("--quick", "--users", "2", "--no-search", "--mix", "streamed=1", "--data", DATA)
WITHOUT_LOCUST = """
import sys
from importlib.machinery import PathFinder

class Blocker(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] == "locust" else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Blocker
"""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TimedApi]:
    with timed_api(tmp_path_factory.mktemp("api"), first_ms=50, token_ms=5) as running:
        yield running


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    (tmp_path / DATA).write_text('{"input_tokens": 8, "output_tokens": 3}\n', encoding="utf-8")
    return CommandLine(tmp_path, 0, variables=without_docker(tmp_path))


def test_a_terminal_shows_the_progress_and_after_ctrl_c_what_was_measured(api: TimedApi, cli: CommandLine) -> None:
    command = [COMMAND, "bench", "--url", api.url, *QUICK, "--duration", "60", "--ttft-p99", "60000"]
    progress = ""

    def shows_progress() -> bool:
        nonlocal progress
        # Looked at once: in the next moment it is drawn anew.
        progress = seen.lines[-1]
        # The first second is warm-up, of which nothing is reported.
        return bool(re.search(r" [1-9]\d %, \d+ answered, ", progress))

    with terminal(command, cli.environment, cli.home) as seen:
        wait_until(shows_progress, "the progress", deadline_s=120)
        seen.type(CTRL_C)
        status = seen.wait(60)
        lines, shows_cursor = seen.lines, seen.shows_cursor

    assert status == 130
    assert " 2 users " in progress
    # All that moved has left one line for the load, which did not come to its end, and the table fits.
    (left,) = [line for line in lines if " 2 users " in line]
    assert left.strip().startswith("✗")
    assert not any("\u2800" <= letter <= "\u28ff" for letter in "".join(lines)), lines
    (head,) = [line for line in lines if line.startswith("step ")]
    (row,) = [line for line in lines if line.startswith("2 users ")]
    assert (head.split()[:2], head.split()[-2:]) == (["step", "requests"], ["goodput", "errors"])
    assert "…" not in head + row
    assert int(row.split()[2]) > 0
    assert "The run ended before its time (Ctrl-C): this is what was measured until then." in lines
    assert "Traceback" not in "".join(lines)
    assert shows_cursor
    (report,) = cli.home.glob("state/scout-deploy/benchmarks/elsewhere/*/*/*.html")
    assert "</html>" in report.read_text(encoding="utf-8")


def test_a_disk_that_takes_nothing_more_costs_the_files_and_not_the_figures(api: TimedApi, cli: CommandLine) -> None:
    # A file of 4 KiB is the largest that may be written, which the kernel holds whoever writes.
    small = replace(cli, prefix=("prlimit", "--fsize=4096"))
    result = small.run("bench", "--url", api.url, *QUICK, "--duration", "3")

    assert result.returncode == 1, result.stderr
    assert "It carried up to " in result.stdout
    assert "  report " not in result.stdout
    assert "error: the report cannot be written; the figures above are what was measured" in result.stderr
    assert "state/scout-deploy/benchmarks/elsewhere/no-profile/no-image: File too large" in result.stderr
    assert "next: free the disk or choose another place with --output" in result.stderr
    assert "Traceback" not in result.stderr
    assert list(cli.home.glob("state/scout-deploy/benchmarks/**/*.*")) == []


def test_a_place_where_nothing_can_be_kept_is_said_before_anything_is_measured(api: TimedApi, cli: CommandLine) -> None:
    (cli.home / "file").touch()
    state = {"XDG_STATE_HOME": str(cli.home / "file")}

    refused = cli.run("bench", "--url", api.url, *QUICK, variables=state)
    named = cli.run("bench", "--url", api.url, *QUICK, "--duration", "1", "--output", "here", variables=state)

    assert (refused.returncode, refused.stdout) == (11, "")
    assert "error: the report cannot be kept: nothing can be written to " in refused.stderr
    assert "next: choose another place with --output DIR" in refused.stderr
    assert (named.returncode, named.stderr) == (0, "")
    assert "not written: " in named.stdout
    assert len(list((cli.home / "here").glob("*.html"))) == 1


def test_without_its_extra_the_one_line_that_installs_it_is_said(cli: CommandLine) -> None:
    (cli.home / "sitecustomize.py").write_text(WITHOUT_LOCUST, encoding="utf-8")
    path = os.pathsep.join(filter(None, (str(cli.home), os.environ.get("PYTHONPATH"))))
    result = cli.run("bench", "--url", "http://127.0.0.1:1", variables={"PYTHONPATH": path})

    assert (result.returncode, result.stdout) == (14, "")
    assert result.stderr == (
        "error: what sends the requests is not installed (the package locust is missing)\n"
        "next: pip install 'scout-deploy[bench]'; in a checkout, make bench installs it and measures\n"
    )
