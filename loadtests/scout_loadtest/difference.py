"""One figure of two sides, each measured in several runs: whether it differs, and how sure that is."""

from collections.abc import Sequence
from enum import StrEnum
from math import inf, sqrt
from statistics import fmean, variance

from pydantic import BaseModel, ConfigDict

from scout_loadtest.step import Load
from scout_loadtest.student import two_sided_p, two_sided_quantile

CONFIDENCE = 0.95
FEWEST_RUNS = 2  # of a side: one says nothing of how much runs differ by themselves
_MOST_RUNS_ADVISED = 100
_NORMAL = 1.96  # the quantile of endlessly many runs


class Finding(StrEnum):
    """What can be said of B beside A."""

    BETTER = "better"
    WORSE = "worse"
    NO_DIFFERENCE = "no difference seen"
    TOO_FEW = "too few runs"


class Interval(BaseModel):
    """Where the true change from A to B lies, with 95 % confidence.

    Args:
        p: How likely a change at least this large is where nothing has changed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float
    high: float
    p: float


class Difference(BaseModel):
    """A figure, compared.

    Args:
        load: The same on both sides; null for a figure of whole runs.
        a: The figure in each run of A.
        change: B's mean less A's, in `unit`; null with too few runs.
        threshold: A smaller change than this is called no difference, however sure it is.
        because: Why the finding is what it is, in words.
        runs_advised: How many runs a side would show a change as small as the threshold, judged by how much these
            runs differed; null where these are enough, where more than a hundred would be, and where it is unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    figure: str
    unit: str
    purpose: str | None = None
    load: Load | None = None
    a: tuple[float, ...]
    b: tuple[float, ...]
    a_mean: float | None
    b_mean: float | None
    change: float | None = None
    interval: Interval | None = None
    threshold: float | None = None
    finding: Finding
    because: str
    runs_advised: int | None = None


def welch(a: Sequence[float], b: Sequence[float], resolution: float = 0.0) -> Interval:
    """Return the interval of `mean(b) - mean(a)` by Welch's t: the sides need not vary alike.

    Args:
        resolution: No value is known finer than this, so no side varies less, even where its few values are equal.
    """
    parts = [max(variance(side), resolution**2) / len(side) for side in (a, b)]
    change, error = fmean(b) - fmean(a), sqrt(sum(parts))
    if error == 0:
        return Interval(low=change, high=change, p=1.0 if change == 0 else 0.0)
    # A side that does not vary at all in floating point would divide nothing by nothing.
    degrees = sum(parts) ** 2 / sum(
        part**2 / (len(side) - 1) for part, side in zip(parts, (a, b), strict=True) if part > 0
    )
    reach = two_sided_quantile(CONFIDENCE, degrees) * error
    return Interval(low=change - reach, high=change + reach, p=two_sided_p(change / error, degrees))


def runs_to_see(change: float, a: Sequence[float], b: Sequence[float]) -> int | None:
    """Return how many runs a side show a change of this size, or None where more than a hundred would be needed."""
    varies = sqrt((variance(a) + variance(b)) / 2)
    # Where the spread is known for sure; the quantiles of few runs only add to it.
    fewest = max(FEWEST_RUNS, int(2 * (_NORMAL * varies / change) ** 2))
    for runs in range(fewest, _MOST_RUNS_ADVISED + 1):
        if two_sided_quantile(CONFIDENCE, 2 * runs - 2) * varies * sqrt(2 / runs) <= change:
            return runs
    return None


def least_significant(p_values: Sequence[float], false_share: float) -> float:
    """Return the bound up to which p values count, by Benjamini and Hochberg's rule.

    Of what is called a difference, at most `false_share` is noise on average; where nothing at all has changed,
    anything is called one with at most that probability. It holds for figures that rise and fall together, as those
    of one step do.
    """
    bound = -inf
    for rank, p in enumerate(sorted(p_values), start=1):
        if p <= false_share * rank / len(p_values):
            bound = p
    return bound
