"""How fast places become free while somebody waits for one, measured on those that came last. Pure."""

from collections import deque

# Enough for a steady figure, few enough that it follows a change of load within seconds.
_REMEMBERED = 64
# Without a figure yet, and for how long at most a client is told to stay away: it may come sooner than it is told to,
# but one that was told too long is lost.
_UNKNOWN_S = 1.0
_LONGEST_S = 600.0


class ServiceRate:
    """Remembers the times between places that became free. Where nobody waited, they say nothing of the engines."""

    def __init__(self) -> None:
        self._gaps_s: deque[float] = deque(maxlen=_REMEMBERED)
        self._since_s: float | None = None

    def note(self, now_s: float) -> None:
        """Record that a place has become free for somebody who waits."""
        if self._since_s is not None:
            self._gaps_s.append(now_s - self._since_s)
        self._since_s = now_s

    def rest(self) -> None:
        """Record that nobody waits any more."""
        self._since_s = None

    def seconds_for(self, count: int, now_s: float) -> float:
        """Estimate how long it takes until so many more have become free."""
        known, total_s = len(self._gaps_s), sum(self._gaps_s)
        if not known:
            return _UNKNOWN_S
        under_way_s = 0.0 if self._since_s is None else now_s - self._since_s
        # One that lasts longer than usual says that the engines are slower now, or stand still.
        return min(count * max(total_s / known, (total_s + under_way_s) / (known + 1)), _LONGEST_S)
