"""What `bench` shows: an event for each load as it ends, and the whole at the end."""

from rich.table import Table

from scout_deploy.bench.benchmark import Measured
from scout_deploy.bench.min_rate import is_held
from scout_deploy.bench.run_files import WrittenRun
from scout_deploy.cli.output import Output
from scout_deploy.profile.profile import ServiceLevel
from scout_loadtest.bench_run import BenchRun, Step
from scout_loadtest.report.outage import outages
from scout_loadtest.report.text import aligned, summary
from scout_loadtest.report.verdict import Tone

_STYLES = {Tone.GOOD: "bold green", Tone.BAD: "bold red", Tone.PLAIN: "bold"}
_MARKS = {"held": "green", "missed": "red"}


def step_event(step: Step) -> dict[str, object]:
    """Return what `--json` says of a load when it has ended."""
    load = step.result.load
    return {
        "event": "step",
        "purpose": step.purpose,
        "users": load.users,
        "rate": load.rate,
        "starts_s": step.starts_s,
        "took_s": round(step.result.took_s, 3),
        "holds": step.holds,
        "because": step.because,
        "client": step.result.client.model_dump(mode="json"),
        "figures": step.result.figures.model_dump(mode="json"),
    }


def summary_event(
    run: BenchRun, measured: Measured, level: ServiceLevel, *, min_rate: float | None, written: WrittenRun
) -> dict[str, object]:
    """Return the last event of `--json`."""
    return {
        "event": "summary",
        "id": run.id,
        **run.subject.model_dump(mode="json"),
        "took_s": run.took_s,
        "verdict": summary(run).verdict,
        "service_level": level.model_dump(mode="json"),
        "highest_rate": run.highest_rate,
        "lowest_failed_rate": run.lowest_failed_rate,
        "limited_by_client": measured.limited_by_client,
        "min_rate": min_rate,
        "is_held": None if min_rate is None else is_held(run, min_rate),
        "interrupted": run.interrupted,
        "outages": [
            {"from_s": one.begins_s, "until_s": one.ends_s, "what": one.what, "is_over": one.is_over, "lost": one.lost}
            for one in outages(run)
        ],
        "report": None if written.report is None else str(written.report),
        "data": None if written.data is None else str(written.data),
        "problems": list(written.problems),
    }


def show_summary(output: Output, run: BenchRun, measured: Measured) -> None:
    """Show the figures of all loads and what they mean."""
    if output.as_json:
        return
    found = summary(run)
    marked = [(*row, mark) for row, mark in zip(found.rows, found.marks, strict=True)]
    columns = (*found.columns, "")
    output.line()
    if output.is_live:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
        for number, name in enumerate(columns):
            table.add_column(name, justify="left" if number in {0, len(columns) - 1} else "right")
        for row in marked:
            table.add_row(*row, style=_MARKS.get(row[-1]))
        output.console.print(table, soft_wrap=False)
    else:
        for line in aligned(columns, marked):
            output.line(line)
    output.line()
    output.line(found.verdict, style=_STYLES[found.tone])
    if measured.limited_by_client:
        output.line("The service may carry more: this client could not offer it, or not see enough of it.")
    for warning in found.warnings:
        output.line(warning, style="yellow")


def show_files(output: Output, run: BenchRun, written: WrittenRun) -> None:
    """Show where the report is."""
    output.line()
    if written.report is not None:
        output.line(f"  report    {written.report}")
    if written.data is not None:
        output.line(f"  data      {written.data}")
    output.line(f"  id        {run.id}")


def level_words(level: ServiceLevel) -> str:
    """Return a service level in words."""
    named = (("TTFT", level.ttft_p99_ms), ("TPOT", level.tpot_p99_ms), ("end to end", level.e2e_p99_ms))
    words = [f"{name} {value:g} ms" for name, value in named if value is not None]
    goodput = "" if level.goodput is None else f", goodput {level.goodput:.1%}"
    return f"p99 of {', '.join(words)}{goodput}"
