"""What `bench` shows: an event for each load as it ends, and the whole at the end."""

import re
from collections.abc import Sequence

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
# What of a heading stands on its second line.
_UNIT = re.compile(r"(?: (?=p\d\d ms$)|(?=/s$))(.*)$")
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
        output.console.print(_table(columns, marked, output.console.width), soft_wrap=False)
    else:
        for line in aligned(columns, marked):
            output.line(line)
    output.line()
    _say(output, found.verdict, _STYLES[found.tone])
    if measured.limited_by_client:
        _say(output, "The service may carry more: this client could not offer it, or not see enough of it.")
    for warning in found.warnings:
        _say(output, warning, "yellow")


def _say(output: Output, text: str, style: str | None = None) -> None:
    """Print a sentence, which a terminal may break between its words."""
    if output.is_live:
        output.console.print(text, style=style, soft_wrap=False)
    else:
        output.line(text, style=style)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Table:
    """Return what a terminal shows of the steps; a narrow one does without the medians, which the report has."""
    heads = [_UNIT.sub(r"\n\1", name) for name in columns]
    shown, gap = _fitting(heads, rows, width)
    table = Table(box=None, padding=(0, gap, 0, 0), header_style="dim", pad_edge=False)
    for at in shown:
        table.add_column(heads[at], justify="left" if at in {0, len(heads) - 1} else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(row[at] for at in shown), style=_MARKS.get(row[-1]))
    return table


def _fitting(heads: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> tuple[list[int], int]:
    """Return the columns that fit, and the gap between them."""
    every = list(range(len(heads)))
    cells = [[line for head in (heads[at], *(row[at] for row in rows)) for line in head.split("\n")] for at in every]
    needed = [max(map(len, column)) for column in cells]
    for gap in (2, 1):
        if sum(needed) + gap * (len(every) - 1) <= width:
            return every, gap
    return [at for at in every if "p50" not in heads[at]], 1


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
