"""Distributions, exactly: every value is looked at, nothing is interpolated."""

import math
from collections.abc import Sequence
from fractions import Fraction

from scout_loadtest.figures import Spread


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the smallest value that this share of all does not exceed (nearest rank).

    Args:
        ordered: At least one, the smallest first.
        percent: Above 0, to 100.
    """
    # As a fraction, for 99.9 * 1000 / 100 is a little above 999.
    rank = math.ceil(Fraction(str(percent)) * len(ordered) / 100)
    return ordered[max(0, rank - 1)]


def spread_of(values: Sequence[float]) -> Spread | None:
    """Return the distribution of these values; None where there are none."""
    if not values:
        return None
    ordered = sorted(values)
    p50, p90, p95, p99 = (percentile(ordered, percent) for percent in (50, 90, 95, 99))
    mean = math.fsum(ordered) / len(ordered)
    return Spread(count=len(ordered), mean=mean, p50=p50, p90=p90, p95=p95, p99=p99, max=ordered[-1])
