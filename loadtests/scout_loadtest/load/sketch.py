"""A distribution in little memory: counts of logarithmic buckets, which can be added up over processes.

Percentiles are within 1 % of the exact ones. A run from Locust's page may last for days: its values cannot all be kept.
"""

import math
from collections import Counter
from collections.abc import Iterable

_GAMMA = 1.02
_LOG_GAMMA = math.log(_GAMMA)
_LEAST = 1e-3


class Sketch:
    """Of values of 0 or more; what is below a thousandth is taken for it."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, value: float) -> None:
        """Take a value."""
        self._counts[math.ceil(math.log(max(value, _LEAST)) / _LOG_GAMMA)] += 1

    def percentile(self, percent: float) -> float | None:
        """Return the smallest value that this share of all does not exceed; None where there is none."""
        wanted = percent / 100 * self._counts.total()
        seen = 0
        for bucket in sorted(self._counts):
            seen += self._counts[bucket]
            if seen >= wanted:
                return 2 * _GAMMA**bucket / (_GAMMA + 1)
        return None

    def pairs(self) -> list[tuple[int, int]]:
        """Return its buckets, to be sent."""
        return list(self._counts.items())

    def merge(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Take another's buckets too."""
        for bucket, count in pairs:
            self._counts[bucket] += count
