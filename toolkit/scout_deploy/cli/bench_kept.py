"""`scout-deploy bench` for what was measured before: list, compare, report."""

import os
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from scout_deploy.bench.run_choice import chosen_runs, image_words, is_gate
from scout_deploy.bench.run_files import write_report
from scout_deploy.bench.run_store import RunStore
from scout_deploy.cli.output import Output
from scout_deploy.errors import DeployError, ProfileError
from scout_deploy.xdg import user_directories
from scout_loadtest import comparison
from scout_loadtest.bench_run import BenchRun
from scout_loadtest.comparable import NotComparableError
from scout_loadtest.report.text import aligned, comparison_table

_JSON = typer.Option("--json", help="Print it as JSON.")


def list_(
    *,
    deployment: Annotated[str | None, typer.Argument(metavar="NAME", help="Of this deployment alone.")] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """List what was measured, the oldest first."""
    output = Output(as_json=as_json)
    every, unreadable = _store().look()
    runs = [run for run in every if deployment in (None, run.subject.deployment)]
    output.document({"runs": [_document(run) for run in runs], "unreadable": list(unreadable)})
    if not runs:
        output.line("Nothing was measured yet: scout-deploy bench")
    elif not as_json:
        output.console.print(_table(runs), soft_wrap=False)
    for problem in unreadable:
        output.line(f"left out: {problem}", style="yellow")


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A benchmark, or several of a deployment; see below.")],
    b: Annotated[str, typer.Argument(metavar="B", help="What to hold against it.")],
    *,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Say what changed from A to B, with confidence intervals, and call no noise a difference.

    A and B are names of benchmarks or their JSON files, several with commas between; or DEPLOYMENT@PROFILE or
    DEPLOYMENT@DIGEST (the beginning of it is enough) for all runs of a profile or an image. One run says nothing of how
    much runs differ: measure each side three times or more, with the same options.
    """
    output = Output(as_json=as_json)
    store = _store()
    try:
        found = comparison.compare(_side(store, a), _side(store, b))
    except NotComparableError as exc:
        raise ProfileError(f"A and B cannot be compared: {exc.message}", next_step=exc.next_step) from exc
    output.document({**found.model_dump(mode="json"), "finding": found.finding})
    if as_json:
        return
    table = comparison_table(found)
    for line in aligned(table.columns, table.rows):
        output.line(line)
    output.line()
    output.line(table.verdict, style="bold")
    for note in table.notes:
        output.line(note, style="yellow")


def report(
    run_id: Annotated[str, typer.Argument(metavar="ID", help="Its name, as `bench list` shows it, or its file.")],
    *,
    folder: Annotated[Path, typer.Option("--output", metavar="DIR", help="Where to write it.")] = Path(),
) -> None:
    """Write the report of a benchmark again."""
    output = Output()
    (run, *others) = chosen_runs(_store(), run_id)
    if others:
        raise DeployError(
            f"'{run_id}' means {1 + len(others)} benchmarks, expected one", next_step="scout-deploy bench list"
        )
    try:
        output.line(str(write_report(run, folder)))
    except OSError as exc:
        raise DeployError(f"the report cannot be written: {exc.filename or folder}: {exc.strerror}") from exc


def _side(store: RunStore, words: str) -> tuple[BenchRun, ...]:
    found = {run.id: run for word in words.split(",") for run in chosen_runs(store, word)}
    return tuple(found.values())


def _store() -> RunStore:
    return RunStore(user_directories(os.environ).benchmarks)


def _document(run: BenchRun) -> dict[str, object]:
    return {
        "id": run.id,
        "began_at": run.began_at,
        "took_s": run.took_s,
        **run.subject.model_dump(mode="json"),
        "is_gate": is_gate(run),
        "highest_rate": run.highest_rate,
        "interrupted": run.interrupted,
    }


def _gate_word(run: BenchRun) -> str:
    if not is_gate(run):
        return ""
    return "gate passed" if all(step.holds for step in run.steps) else "gate not passed"


def _table(runs: list[BenchRun]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for heading in ("id", "when", "profile", "image", "holds", "most tokens/s", ""):
        table.add_column(heading, no_wrap=True)
    for run in runs:
        most = max((step.result.figures.output_tokens_per_s for step in run.steps), default=0.0)
        table.add_row(
            run.id,
            time.strftime("%Y-%m-%d %H:%M", time.localtime(run.began_at)),
            run.subject.profile or "-",
            image_words(run),
            "-" if run.highest_rate is None else f"{run.highest_rate:.3g}/s",
            f"{most:.0f}",
            "ended early" if run.interrupted else _gate_word(run),
        )
    return table
