"""What a run came to, in words."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from scout_loadtest.bench_run import BenchRun, Step
from scout_loadtest.figures import Figures, Spread
from scout_loadtest.labels import load_label
from scout_loadtest.report.outage import Outage, outages
from scout_loadtest.report.telling import telling_step
from scout_loadtest.report.units import clock, counted, milliseconds, per_second

_MOST_NAMED = 4
_FEWEST_OF_P99 = 100


class Tone(StrEnum):
    """How a verdict is to be taken."""

    GOOD = "good"
    BAD = "bad"
    PLAIN = "plain"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The whole run in one sentence.

    Args:
        warnings: What makes figures doubtful or incomplete, to be said loudly; a sentence each.
    """

    sentence: str
    tone: Tone
    warnings: tuple[str, ...]


def verdict_of(run: BenchRun) -> Verdict:
    """Return what the run came to: first what was lost, if the server went away; else what it carries."""
    absent = outages(run)
    sentence, tone = _sentence(run, absent)
    return Verdict(sentence=sentence, tone=tone, warnings=tuple(_warnings(run, absent)))


def service_level(run: BenchRun) -> str:
    """Return the service level as it is read: `TTFT p99 ≤ 500 ms and TPOT p99 ≤ 50 ms`; empty where there is none."""
    targets, percentile = run.targets, run.percentile
    parts = [
        f"{name} p{percentile:g} ≤ {bound:g} ms"
        for name, bound in (("TTFT", targets.ttft_ms), ("TPOT", targets.tpot_ms), ("end to end", targets.e2e_ms))
        if bound is not None
    ]
    if run.goodput_target is not None:
        parts.append(f"goodput ≥ {run.goodput_target * 100:g} %")
    return " and ".join(parts)


def _sentence(run: BenchRun, absent: list[Outage]) -> tuple[str, Tone]:
    figures = [step.result.figures for step in run.steps]
    asked = sum(one.requests for one in figures)
    if not asked:
        return "Nothing was measured: no request was due in the measured time.", Tone.BAD
    if not any(one.succeeded for one in figures):
        kinds = _kinds_text(sum((Counter(one.errors) for one in figures), Counter()))
        return f"Nothing was answered: all {counted(asked, 'request')} failed ({kinds}).", Tone.BAD
    if costly := [outage for outage in absent if outage.lost]:
        return _absence(costly), Tone.BAD
    if any(step.purpose == "search" for step in run.steps):
        return _search(run)
    telling = telling_step(run)
    if telling is not None and telling.purpose == "gate":
        return _gate(telling)
    return (_capacity(telling) if telling else "Nothing was measured."), Tone.PLAIN


def _absence(absent: list[Outage]) -> str:
    first = absent[0]
    lost = Counter(str(kind) for outage in absent for kind in outage.lost.elements())
    who = "The server was unreachable" if first.what == "proxy" else "The engine was gone"
    when = (
        f"from {clock(first.begins_s)} to {clock(first.ends_s)} ({first.ends_s - first.begins_s:.3g} s)"
        if first.is_over
        else f"from {clock(first.begins_s)} and did not come back"
    )
    more = f", and {counted(len(absent) - 1, 'more time')}" if len(absent) > 1 else ""
    were = "was" if lost.total() == 1 else "were"
    return f"{who} {when}{more}: {counted(lost.total(), 'request')} {were} lost ({_kinds_text(lost)})."


def _search(run: BenchRun) -> tuple[str, Tone]:
    level = service_level(run)
    held = f"held {level}" if level else "were answered without a failure"
    if run.highest_rate is None:
        lowest = _lowest_missed(run)
        if lowest is None:
            return "No rate could be judged, neither that it holds the service level nor that it does not.", Tone.PLAIN
        because = f": {lowest.because}" if lowest.because else ""
        rate = rate_text(lowest.result.load.rate)
        return (
            f"No rate that was tried held {level or 'without a failure'}; the lowest, {rate}/s, missed it{because}.",
            Tone.BAD,
        )
    beyond = (
        f"; {rate_text(run.lowest_failed_rate)}/s did not"
        if run.lowest_failed_rate is not None
        else ", the highest rate that was tried; no limit was reached"
    )
    return f"Up to {rate_text(run.highest_rate)} requests/s {held}{beyond}.", Tone.GOOD


def _lowest_missed(run: BenchRun) -> Step | None:
    missed = [step for step in run.steps if step.purpose == "search" and step.holds is False]
    return min(missed, key=lambda step: step.result.load.rate or 0.0, default=None)


def rate_text(rate: float | None) -> str:
    """Return a rate that was set, as it was set: `8`, `2.5`."""
    return f"{rate or 0.0:.4g}"


def _gate(step: Step) -> tuple[str, Tone]:
    if step.holds:
        return f"The gate was passed: {load_label(step.result.load)} held the service level.", Tone.GOOD
    because = f": {step.because}" if step.because else ""
    if step.holds is None:
        return f"The gate told nothing at {load_label(step.result.load)}{because}.", Tone.PLAIN
    return f"The gate was missed at {load_label(step.result.load)}{because}.", Tone.BAD


def _capacity(step: Step) -> str:
    figures = step.result.figures
    carried = (
        per_second(figures.output_tokens_per_s, "output tokens")
        if figures.output_tokens_per_s
        else per_second(figures.answered_per_s, "requests")
    )
    named = ("TTFT", figures.ttft_ms) if figures.ttft_ms else ("end to end", figures.e2e_ms)
    latency = f", {named[0]} {_p99_text(named[1])}" if named[1] else ""
    failed = f", {counted(failed_of(figures), 'request')} failed" if failed_of(figures) else ""
    return f"It carried up to {carried}, with {load_label(step.result.load)}{latency}{failed}."


def _p99_text(spread: Spread) -> str:
    """Return a p99 as what it is: of fewer than a hundred values it is the largest."""
    return f"{'p99' if spread.count >= _FEWEST_OF_P99 else 'at most'} {milliseconds(spread.p99)}"


def failed_of(figures: Figures) -> int:
    """Return how many of the counted requests failed."""
    return figures.requests - figures.succeeded


def _warnings(run: BenchRun, absent: list[Outage]) -> Iterator[str]:
    if run.interrupted is not None:
        yield f"The run ended before its time ({run.interrupted}): this is what was measured until then."
    saturated = [step for step in run.steps if step.result.client.reason]
    if saturated:
        names = list(
            dict.fromkeys(f"{load_label(step.result.load)}, {step.result.client.reason}" for step in saturated)
        )
        more = f"; and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        yield (
            f"The load test itself was saturated in {counted(len(saturated), 'step')}, whose figures say nothing of the"
            f" server: {'; '.join(names[:_MOST_NAMED])}{more}. Run it on a machine of its own, or on several."
        )
    for outage in absent:
        if not outage.lost:
            who = "The proxy did not answer" if outage.what == "proxy" else "No engine served"
            yield f"{who} from {clock(outage.begins_s)} to {clock(outage.ends_s)}; no request was lost by it."
    if any(outage.lost for outage in absent) and run.highest_rate is not None:
        yield f"Before or after, up to {rate_text(run.highest_rate)} requests/s held the service level."
    yield from _limits_of_the_search(run)
    for step in run.steps:
        if step.result.interrupted is not None and run.interrupted is None:
            yield f"The step {load_label(step.result.load)} ended before its time ({step.result.interrupted})."
    uncounted = sum(step.result.figures.uncounted for step in run.steps)
    if uncounted:
        yield (
            f"{counted(uncounted, 'answer')} came without a count of tokens, as those from the cache do; the figures "
            "of tokens leave such answers out."
        )


def _kinds_text(kinds: Counter[str]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())


def _limits_of_the_search(run: BenchRun) -> Iterator[str]:
    """Say what so short a run did not try; nothing where no search was wanted."""
    if run.least_rate is None or not service_level(run):
        return
    has_tried = any(step.purpose == "search" for step in run.steps)
    if not has_tried and run.interrupted is None:
        yield "No rate was searched: the steps took all the time that this run had. Give it fewer, or more time."
    if run.highest_rate is None and (lowest := _lowest_missed(run)) is not None:
        yield (
            f"No rate below {rate_text(lowest.result.load.rate)}/s was tried; a run as short as this can judge none "
            f"below {rate_text(run.least_rate)}/s."
        )
