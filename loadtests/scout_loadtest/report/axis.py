"""From values to places on a plot, with ticks at round numbers."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from math import ceil, floor, log10

_TIMES_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One direction of a plot.

    Args:
        start: Where `low` is, in pixels.
        end: Where `high` is; above `start` on the page for an axis that rises.
        ticks: Round values within, the smallest first.
    """

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    is_log: bool = False

    def at(self, value: float) -> float:
        """Return where a value is; at the edge where it is beyond."""
        held = min(max(value, self.low), self.high)
        if self.is_log:
            part = (log10(held) - log10(self.low)) / (log10(self.high) - log10(self.low))
        else:
            part = (held - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def label(self, tick: float) -> str:
        """Return a tick as it is written, all ticks with the same digits."""
        if self.is_log:
            return f"{tick:,.10g}"
        step = self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else tick or 1.0
        return f"{tick:,.{max(0, -floor(log10(step) + 1e-9))}f}"


def linear_axis(high: float, start: float, end: float, *, most: int = 6, is_count: bool = False) -> Axis:
    """Return an axis from zero to the round number that holds `high`.

    Args:
        most: How many ticks there are at most, beside zero.
        is_count: Whether ticks between whole numbers would make no sense.
    """
    step = max(round_step(high / most if high > 0 else 1 / most), 1.0 if is_count else 0.0)
    steps = max(1, ceil(high / step - 1e-9))
    return Axis(low=0.0, high=steps * step, start=start, end=end, ticks=tuple(step * at for at in range(steps + 1)))


def log_axis(low: float, high: float, start: float, end: float, *, most: int = 7) -> Axis:
    """Return a logarithmic axis that holds both values, which are above zero."""
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = tuple(_log_ticks(low, high, steps))
        if len(ticks) <= most:
            break
    else:
        ticks = ticks[:: ceil(len(ticks) / most)]
    return Axis(low=min(low, ticks[0]), high=max(high, ticks[-1]), start=start, end=end, ticks=ticks, is_log=True)


def time_axis(until_s: float, start: float, end: float, *, most: int) -> Axis:
    """Return an axis of a run's seconds, which ends where the run does."""
    step = time_step(until_s / most)
    ticks = tuple(float(step * at) for at in range(floor(until_s / step) + 1))
    return Axis(low=0.0, high=max(until_s, 1.0), start=start, end=end, ticks=ticks)


def time_step(seconds: float) -> int:
    """Return the shortest round time that is at least this long."""
    return next((step for step in _TIMES_S if step >= seconds), _TIMES_S[-1] * ceil(seconds / _TIMES_S[-1]))


def round_step(least: float) -> float:
    """Return 1, 2 or 5 times a power of ten: the smallest that is at least this."""
    power = 10.0 ** floor(log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def _log_ticks(low: float, high: float, steps: tuple[int, ...]) -> Iterator[float]:
    """From the last round number that is not above `low` to the first that is not below `high`."""
    every = [factor * 10.0**power for power in range(floor(log10(low)) - 1, ceil(log10(high)) + 2) for factor in steps]
    first = max(at for at, tick in enumerate(every) if tick <= low * (1 + 1e-9))
    for at in count(first):
        yield every[at]
        if every[at] >= high * (1 - 1e-9) and at > first:
            return
