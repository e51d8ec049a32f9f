"""A run, and a comparison of runs, as plain rows: a terminal view is made of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from scout_loadtest.bench_run import BenchRun, Step
from scout_loadtest.comparison import Comparison
from scout_loadtest.difference import Difference
from scout_loadtest.figures import Spread
from scout_loadtest.labels import load_label
from scout_loadtest.measure import error_share
from scout_loadtest.report.telling import has_output_tokens
from scout_loadtest.report.units import NOTHING, number, share
from scout_loadtest.report.verdict import Tone, verdict_of


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a terminal shows of a run.

    Args:
        columns: Their names, units included; the first is text, the others are numbers.
        rows: One a step, in the order in which they ran.
        marks: Of each row: "held", "missed", or empty where a step was not judged.
    """

    verdict: str
    tone: Tone
    warnings: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ComparisonTable:
    """What a terminal shows of a comparison.

    Args:
        findings: Of each row, as the last column says it.
    """

    verdict: str
    notes: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    findings: tuple[str, ...]


def summary(run: BenchRun) -> Summary:
    """Return a run in the fewest lines that tell it."""
    verdict = verdict_of(run)
    has_tokens = has_output_tokens(run)
    has_streams = any(step.result.figures.ttft_ms for step in run.steps)
    names = ["step", "requests", "answered/s"]
    names += (
        ["TTFT p50 ms", "TTFT p99 ms", "TPOT p50 ms", "TPOT p99 ms"]
        if has_streams
        else ["end to end p50 ms", "end to end p99 ms"]
    )
    names += ["tokens/s"] if has_tokens else []
    names += ["goodput", "errors"]
    return Summary(
        verdict=verdict.sentence,
        tone=verdict.tone,
        warnings=verdict.warnings,
        columns=tuple(names),
        rows=tuple(_row(step, has_streams=has_streams, has_tokens=has_tokens) for step in run.steps),
        marks=tuple(mark(step) for step in run.steps),
    )


def mark(step: Step) -> str:
    """Return whether a judged step held: "held", "missed", or empty."""
    return "" if step.holds is None else "held" if step.holds else "missed"


def comparison_table(comparison: Comparison) -> ComparisonTable:
    """Return a comparison as rows: A, B, the change with its interval, the finding."""
    a, b = (len(side.runs) for side in (comparison.a, comparison.b))
    return ComparisonTable(
        verdict=f"B beside A: {comparison.finding} ({a} and {b} runs, {comparison.confidence:.0%} confidence).",
        notes=(*comparison.notes, *_how(comparison)),
        columns=("load", "figure", "A", "B", "change", "interval of the change", "finding"),
        rows=tuple(_difference_row(difference) for difference in comparison.differences),
        findings=tuple(difference.finding for difference in comparison.differences),
    )


def _how(comparison: Comparison) -> list[str]:
    judged = sum(difference.interval is not None for difference in comparison.differences)
    if not judged:
        return []
    why = "of so many, some would differ by chance"
    counts = "what has an interval without zero, is large enough to matter and passes Benjamini and Hochberg's rule"
    return [f"A difference is {counts} over all {judged} figures: {why}."]


def _row(step: Step, *, has_streams: bool, has_tokens: bool) -> tuple[str, ...]:
    figures = step.result.figures
    cells = [load_label(step.result.load), f"{figures.requests:,}", number(figures.answered_per_s)]
    cells += [*_ends(figures.ttft_ms), *_ends(figures.tpot_ms)] if has_streams else _ends(figures.e2e_ms)
    cells += [number(figures.output_tokens_per_s)] if has_tokens else []
    return (*cells, share(figures.goodput), share(error_share(figures)))


def _ends(spread: Spread | None) -> list[str]:
    return [number(spread.p50), number(spread.p99)] if spread else [NOTHING, NOTHING]


def _difference_row(difference: Difference) -> tuple[str, ...]:
    is_share = difference.unit == "share"
    unit = "%" if is_share else difference.unit

    def text(value: float | None, sign: str = "") -> str:
        if value is None:
            return NOTHING
        shown = value * 100 if is_share else value
        return f"{sign if shown > 0 else ''}{number(shown)}"

    interval = difference.interval
    return (
        load_label(difference.load) if difference.load else "whole run",
        f"{difference.figure} ({unit})",
        text(difference.a_mean),
        text(difference.b_mean),
        f"{text(difference.change, '+')}{_relative(difference, is_share=is_share)}",
        f"{text(interval.low, '+')} to {text(interval.high, '+')}" if interval else NOTHING,
        _finding_text(difference),
    )


def _relative(difference: Difference, *, is_share: bool) -> str:
    if is_share or difference.change is None or not difference.a_mean:
        return ""
    return f" ({difference.change / difference.a_mean:+.1%})"


def _finding_text(difference: Difference) -> str:
    advised = difference.runs_advised
    return f"{difference.finding} ({advised} runs a side would tell)" if advised else str(difference.finding)


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return lines of a table for where there is no terminal: text to the left, numbers to the right."""
    widths = [max(len(row[at]) for row in (columns, *rows)) for at in range(len(columns))]
    return tuple(
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (columns, *rows)
    )
