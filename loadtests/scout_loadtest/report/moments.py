"""A run in bins of time: what its requests did in each."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from scout_loadtest.bench_run import BenchRun, Sample
from scout_loadtest.figures_of import ttft_ms
from scout_loadtest.report.axis import time_step

_MOST_BINS = 150


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Every request of the run, the warm-ups' too, by when it ended.

    Args:
        width_s: Of a bin.
        answered_per_s: Successes.
        failed_per_s: Failures.
        ttft_ms: Median and maximum of the first tokens that came in each bin; None for a bin without one.
        in_flight: At the middle of each bin, as the client saw it.
    """

    width_s: float
    answered_per_s: tuple[float, ...]
    failed_per_s: tuple[float, ...]
    ttft_ms: tuple[tuple[float, float] | None, ...]
    in_flight: tuple[int, ...]

    @property
    def edges_s(self) -> tuple[float, ...]:
        """Between the bins, and at both ends."""
        return tuple(self.width_s * at for at in range(len(self.answered_per_s) + 1))


def moments(run: BenchRun, until_s: float) -> Moments:
    """Return the run in at most 150 bins of a round width."""
    width = float(time_step(until_s / _MOST_BINS))
    number = max(1, -int(-until_s // width))
    answered, failed = [0] * number, [0] * number
    first: list[list[float]] = [[] for _ in range(number)]
    changes = [0] * (number + 1)
    for step in run.steps:
        for record in step.result.records:
            ended = step.starts_s + record.ended_s
            (failed if record.error else answered)[_bin(ended, width, number)] += 1
            wait = ttft_ms(record)
            if wait is not None and record.first_token_s is not None:
                first[_bin(step.starts_s + record.first_token_s, width, number)].append(wait)
            # From the first middle of a bin after it was sent to the last before it ended.
            changes[_bin(step.starts_s + record.sent_s + width / 2, width, number + 1)] += 1
            changes[_bin(ended + width / 2, width, number + 1)] -= 1
    in_flight, flying = [], 0
    for change in changes[:number]:
        flying += change
        in_flight.append(flying)
    return Moments(
        width_s=width,
        answered_per_s=tuple(count / width for count in answered),
        failed_per_s=tuple(count / width for count in failed),
        ttft_ms=tuple((median(waits), max(waits)) if waits else None for waits in first),
        in_flight=tuple(in_flight),
    )


def tokens_per_s(timeline: Sequence[Sample], width_s: float) -> list[tuple[float, float]]:
    """Return what the engines' own counter of output tokens rose by, a second, over about this long each.

    A counter that fell began again with its engine: no rate is known for that time.
    """
    rates = []
    before: tuple[float, float] | None = None
    for sample in timeline:
        if sample.output_tokens_total is None:
            before = None
            continue
        now = (sample.at_s, sample.output_tokens_total)
        if before is None or now[1] < before[1]:
            before = now
        elif now[0] - before[0] >= max(width_s, 1.0) * 0.99:
            rates.append(((now[0] + before[0]) / 2, (now[1] - before[1]) / (now[0] - before[0])))
            before = now
    return rates


def _bin(at_s: float, width_s: float, number: int) -> int:
    return min(number - 1, max(0, int(at_s // width_s)))
