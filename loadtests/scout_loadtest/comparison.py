"""Whether B is better than A: repeated runs of each, figure by figure, and no noise called a difference."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from pydantic import BaseModel, ConfigDict

from scout_loadtest.bench_run import BenchRun, Step, Subject
from scout_loadtest.comparable import asked_alike, check_comparable, notes_on
from scout_loadtest.difference import (
    CONFIDENCE,
    FEWEST_RUNS,
    Difference,
    Finding,
    Interval,
    least_significant,
    runs_to_see,
    welch,
)
from scout_loadtest.measure import STEP_MEASURES, Measure
from scout_loadtest.step import Load

_HIGHEST_RATE = Measure(
    name="highest rate", unit="requests/s", value=lambda _: None, is_more_better=True, practical_share=0.05
)


class Side(BaseModel):
    """One side: its runs, and what they measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runs: tuple[str, ...]
    subject: Subject
    version: str
    machine: str


class Comparison(BaseModel):
    """All figures of two sides.

    Args:
        notes: What a reader should know beside the figures: what else differs, what was left out, what is too little.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    a: Side
    b: Side
    confidence: float = CONFIDENCE
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    @property
    def finding(self) -> Finding:
        """Of all: worse where any figure is, since a gain elsewhere does not undo it."""
        found = {difference.finding for difference in self.differences}
        order = (Finding.WORSE, Finding.BETTER, Finding.NO_DIFFERENCE)
        return next((finding for finding in order if finding in found), Finding.TOO_FEW)


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """One figure's values on both sides, not judged yet."""

    measure: Measure
    a: tuple[float, ...]
    b: tuple[float, ...]
    resolution: float
    step: tuple[str, Load] | None

    @property
    def is_testable(self) -> bool:
        return min(len(self.a), len(self.b)) >= FEWEST_RUNS


def compare(a: Sequence[BenchRun], b: Sequence[BenchRun]) -> Comparison:
    """Say what changed from A to B.

    The unit is the run. Requests of one run share a machine, a cache and a moment, so a thousand of them are not a
    thousand independent looks; a run's figure is. Each figure (a p99 too) is one number a run, and its means over
    the runs of both sides are compared by Welch's t test, which does not suppose that both sides vary alike. With the
    two to ten runs that people make, a bootstrap has too little to draw from and its intervals are too narrow, while
    Student's quantiles pay for what is unknown. Seeds must be equal, so runs differ by what the server did and not by
    what it was asked.

    Many figures are looked at together, and at 95 % one in twenty would "differ" by chance. So beside an interval
    without zero, a difference must pass Benjamini and Hochberg's rule at 5 % over all figures of the comparison; and
    it must be as large as a practical threshold (5 % of A's mean; 1 point of goodput, half a point of errors).
    Everything else is "no difference seen", which is not "they are equal": the interval says what could hide.

    Raises:
        NotComparableError: The runs were not asked the same.
    """
    check_comparable(a, b)
    pairs = [pair for pair in [*_whole_runs(a, b), *_steps(a, b)] if pair.a or pair.b]
    intervals = [welch(pair.a, pair.b, pair.resolution) if pair.is_testable else None for pair in pairs]
    bound = least_significant([interval.p for interval in intervals if interval], 1 - CONFIDENCE)
    return Comparison(
        a=_side(a),
        b=_side(b),
        differences=tuple(
            _too_few(pair) if interval is None else _judged(pair, interval, bound)
            for pair, interval in zip(pairs, intervals, strict=True)
        ),
        notes=notes_on(a, b),
    )


def _side(runs: Sequence[BenchRun]) -> Side:
    first = runs[0]
    return Side(runs=tuple(run.id for run in runs), subject=first.subject, version=first.version, machine=first.machine)


def _whole_runs(a: Sequence[BenchRun], b: Sequence[BenchRun]) -> Iterator[_Pair]:
    # A search knows the rate no finer than the bracket it ended with, whose lower end is zero where no rate held.
    brackets = [
        run.lowest_failed_rate - (run.highest_rate or 0.0) for run in (*a, *b) if run.lowest_failed_rate is not None
    ]
    yield _Pair(
        measure=_HIGHEST_RATE,
        a=_highest_rates(a),
        b=_highest_rates(b),
        resolution=max(brackets, default=0.0) / 2,
        step=None,
    )


def _highest_rates(runs: Sequence[BenchRun]) -> tuple[float, ...]:
    """Of those that searched; none held is zero."""
    return tuple(
        run.highest_rate or 0.0 for run in runs if run.highest_rate is not None or run.lowest_failed_rate is not None
    )


def _steps(a: Sequence[BenchRun], b: Sequence[BenchRun]) -> Iterator[_Pair]:
    for purpose, load in _common_loads(a, b):
        results = [[_at(run, purpose, load) for run in side] for side in (a, b)]
        fewest = min((step.result.figures.requests for side in results for run in side for step in run), default=0)
        for measure in STEP_MEASURES:
            values = [tuple(value for run in side if (value := _value(measure, run)) is not None) for side in results]
            yield _Pair(
                measure=measure,
                a=values[0],
                b=values[1],
                resolution=1 / fewest if measure.is_share and fewest else 0.0,
                step=(purpose, load),
            )


def _common_loads(a: Sequence[BenchRun], b: Sequence[BenchRun]) -> list[tuple[str, Load]]:
    """Those that every run has, in the first one's order: a search tries other rates each time."""
    found: list[tuple[str, Load]] = []
    for step in a[0].steps:
        key = (step.purpose, asked_alike(step.result.load))
        if key not in found and all(any(_is_at(one, *key) for one in run.steps) for run in (*a, *b)):
            found.append(key)
    return found


def _is_at(step: Step, purpose: str, load: Load) -> bool:
    return step.purpose == purpose and asked_alike(step.result.load) == load


def _at(run: BenchRun, purpose: str, load: Load) -> list[Step]:
    """The steps whose figures count: those of a saturated client say nothing of the server."""
    return [step for step in run.steps if _is_at(step, purpose, load) and step.result.client.reason is None]


def _value(measure: Measure, steps: Sequence[Step]) -> float | None:
    values = [value for step in steps if (value := measure.value(step.result.figures)) is not None]
    return fmean(values) if values else None


def _too_few(pair: _Pair) -> Difference:
    missing = [
        f"{side} has {len(values)} of {FEWEST_RUNS}"
        for side, values in (("A", pair.a), ("B", pair.b))
        if len(values) < FEWEST_RUNS
    ]
    return _difference(
        pair,
        finding=Finding.TOO_FEW,
        because=f"runs with this figure: {' and '.join(missing)} that are needed to know how much runs vary",
    )


def _judged(pair: _Pair, interval: Interval, bound: float) -> Difference:
    measure = pair.measure
    change = fmean(pair.b) - fmean(pair.a)
    threshold = max(measure.practical_share * abs(fmean(pair.a)), measure.practical)
    reach = max(interval.high - change, 0.0)
    runs = runs_to_see(threshold, pair.a, pair.b) if reach > threshold > 0 else None
    has_enough = runs is None or runs <= min(len(pair.a), len(pair.b))
    finding, because = Finding.NO_DIFFERENCE, ""
    if interval.low <= 0 <= interval.high:
        because = "the interval contains zero"
    elif abs(change) < threshold:
        because = "the change is sure, but too small to matter"
    elif interval.p > bound:
        because = "among this many figures, one changes as much by chance"
    else:
        finding = Finding.BETTER if (change > 0) == measure.is_more_better else Finding.WORSE
        because = "the interval does not contain zero"
    return _difference(
        pair,
        finding=finding,
        because=because,
        change=change,
        interval=interval,
        threshold=threshold,
        runs_advised=runs if finding is Finding.NO_DIFFERENCE and not has_enough else None,
    )


def _difference(
    pair: _Pair,
    *,
    finding: Finding,
    because: str,
    change: float | None = None,
    interval: Interval | None = None,
    threshold: float | None = None,
    runs_advised: int | None = None,
) -> Difference:
    return Difference(
        figure=pair.measure.name,
        unit=pair.measure.unit,
        purpose=pair.step and pair.step[0],
        load=pair.step and pair.step[1],
        a=pair.a,
        b=pair.b,
        a_mean=fmean(pair.a) if pair.a else None,
        b_mean=fmean(pair.b) if pair.b else None,
        change=change,
        interval=interval,
        threshold=threshold,
        finding=finding,
        because=because,
        runs_advised=runs_advised,
    )
