"""Percentiles of what was measured."""

from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that this share of all does not exceed (nearest rank).

    Args:
        values: At least one, in any order.
        percent: 0 to 100.
    """
    ordered = sorted(values)
    rank = -(-percent * len(ordered) // 100)
    return ordered[max(0, int(rank) - 1)]
