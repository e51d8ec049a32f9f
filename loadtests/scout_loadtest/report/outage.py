"""When the server was away, and what was lost by it."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf

from scout_loadtest.bench_run import BenchRun, Sample
from scout_loadtest.record import ErrorKind, Record

_OF_A_LOSS = frozenset(
    {
        ErrorKind.REFUSED,
        ErrorKind.BROKEN,
        ErrorKind.CUT_OFF,
        ErrorKind.NOT_READY,
        ErrorKind.SERVER,
        ErrorKind.TIMEOUT,
        ErrorKind.ERROR_EVENT,
    }
)
# Kinds that say by themselves that nobody was there.
_OF_AN_ABSENCE = frozenset({ErrorKind.REFUSED, ErrorKind.BROKEN, ErrorKind.NOT_READY, ErrorKind.CUT_OFF})
# Of these, two in a row are no bad luck of theirs.
_NOBODY_THERE = frozenset({ErrorKind.REFUSED, ErrorKind.NOT_READY})
_FEWEST_NOBODY_THERE = 2
# So many in a row, with no success between them, are an absence and not some requests' bad luck.
_FEWEST_FAILURES = 5
_FROM_THE_CACHE = "HIT"


@dataclass(frozen=True, kw_only=True)
class Outage:
    """One absence.

    Args:
        begins_s: Since the run began.
        ends_s: When it was seen to be over; the end of what was seen where it never was.
        what: "proxy" or "engine".
        is_over: Whether the server was seen again.
        lost: Requests that failed in it, by kind.
    """

    begins_s: float
    ends_s: float
    what: str
    is_over: bool
    lost: Counter[ErrorKind]


def outages(run: BenchRun) -> list[Outage]:
    """Return the absences that the samples saw, and those that failed requests tell of: samples miss a short one."""
    looks = believed(run)
    found = [_with_losses(run, *span) for span in _seen(looks)] if looks else []
    for begins_s, ends_s, what, is_over in _told(run):
        if not any(_since(run, one.begins_s) <= ends_s and begins_s <= one.ends_s for one in found):
            found.append(_with_losses(run, begins_s, ends_s, what, is_over))
    return sorted(found, key=lambda one: one.begins_s)


def believed(run: BenchRun) -> tuple[Sample, ...]:
    """Return the samples without those that our own requests prove wrong.

    Who has a request in flight that is answered in the end is there. An API that answers requests and never says how it
    is has no samples at all.
    """
    began = sorted(
        (step.starts_s + record.sent_s, step.starts_s + record.ended_s)
        for step in run.steps
        for record in step.result.records
        if record.error is None
    )
    if began and not any(sample.is_answering for sample in run.timeline):
        return ()
    last_ends = list(accumulate((ended_s for _, ended_s in began), max))

    def is_proved_there(at_s: float) -> bool:
        before = bisect_right(began, (at_s, inf))
        return before > 0 and last_ends[before - 1] >= at_s

    return tuple(sample for sample in run.timeline if sample.is_answering or not is_proved_there(sample.at_s))


def absences(timeline: Sequence[Sample]) -> Iterator[tuple[float, float, str]]:
    """Yield each time without an answer of the proxy ("proxy") or without an engine that serves ("engine")."""
    since, what = 0.0, ""
    for sample in timeline:
        now = _missing(sample)
        if now == what:
            continue
        if what:
            yield since, sample.at_s, what
        since, what = sample.at_s, now
    if what:
        yield since, timeline[-1].at_s, what


def _missing(sample: Sample) -> str:
    if not sample.is_answering:
        return "proxy"
    return "engine" if sample.engines_serving == 0 else ""


def _seen(timeline: Sequence[Sample]) -> Iterator[tuple[float, float, str, bool]]:
    """The absences with those that follow each other at once made one."""
    spans = list(absences(timeline))
    while spans:
        begins_s, ends_s, what = spans.pop(0)
        while spans and spans[0][0] == ends_s:
            ends_s = spans.pop(0)[1]
            what = "engine"
        yield begins_s, ends_s, what, _missing(timeline[-1]) == "" or ends_s < timeline[-1].at_s


def _told(run: BenchRun) -> Iterator[tuple[float, float, str, bool]]:
    ends = sorted(
        (step.starts_s + record.ended_s, record.error or "")
        for step in run.steps
        for record in step.result.records
        # What the cache gives says nothing of the engine.
        if record.error in _OF_AN_ABSENCE or (record.error is None and record.cache != _FROM_THE_CACHE)
    )
    failed: list[tuple[float, str]] = []
    for at, error in [*ends, (0.0, "")]:
        if error:
            failed.append((at, error))
            continue
        if _are_an_absence([kind for _, kind in failed]):
            yield failed[0][0], failed[-1][0], "engine", failed[-1][0] < ends[-1][0]
        failed = []


def _are_an_absence(failures: Sequence[str]) -> bool:
    return len(failures) >= _FEWEST_FAILURES or sum(kind in _NOBODY_THERE for kind in failures) >= _FEWEST_NOBODY_THERE


def _with_losses(run: BenchRun, begins_s: float, ends_s: float, what: str, is_over: bool) -> Outage:
    since = _since(run, begins_s)
    lost = Counter(
        record.error
        for at, record in _failures(run)
        if record.error in _OF_A_LOSS and at >= since and at - (record.ended_s - record.sent_s) <= ends_s
    )
    return Outage(begins_s=begins_s, ends_s=ends_s, what=what, is_over=is_over, lost=lost)


def _since(run: BenchRun, begins_s: float) -> float:
    """When it may have begun: right after the look before."""
    return max((sample.at_s for sample in run.timeline if sample.at_s < begins_s), default=begins_s)


def _failures(run: BenchRun) -> Iterator[tuple[float, Record]]:
    """With when each ended, in the run's time."""
    for step in run.steps:
        for record in step.result.records:
            if record.error is not None:
                yield step.starts_s + record.ended_s, record
