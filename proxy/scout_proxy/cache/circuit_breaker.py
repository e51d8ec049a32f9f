"""When to stop asking what keeps failing, and when to look at it again. Pure: time comes in through the clock."""

from collections.abc import Callable
from time import monotonic

_MOST_DOUBLINGS = 20


class CircuitBreaker:
    """Opens after failures in a row. While it is open its owner asks nothing but one probe after each rest.

    Each failed probe doubles the rest, up to the longest. It also stays doubled where the breaker opens again soon
    after it closed, so that what works only for a moment is not asked at full speed.

    Args:
        failures_until_open: In a row.
        first_rest_s: Seconds from opening to the first probe.
        longest_rest_s: The most seconds between two probes.
        is_open: At the beginning; a probe is then due at once.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        *,
        failures_until_open: int = 3,
        first_rest_s: float = 0.1,
        longest_rest_s: float = 5.0,
        is_open: bool = False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._failures_until_open = failures_until_open
        self._first_rest_s = first_rest_s
        self._longest_rest_s = longest_rest_s
        self._clock = clock
        self._setbacks = 0
        self._closed_at_s = self._look_at_s = clock()
        self.failures = 0
        self.is_open = is_open

    @property
    def rest_s(self) -> float:
        """Seconds until the next probe; 0 when it is due, and while the breaker is closed."""
        return max(0.0, self._look_at_s - self._clock()) if self.is_open else 0.0

    def succeed(self) -> None:
        """Note that what was asked, or the probe, went well: the breaker is closed."""
        self.failures = 0
        if self.is_open:
            self.is_open = False
            self._closed_at_s = self._clock()
        elif self._setbacks and self._clock() - self._closed_at_s > self._longest_rest_s:
            self._setbacks = 0

    def fail(self) -> None:
        """Note that what was asked, or the probe, failed; enough of it in a row opens the breaker."""
        self.failures += 1
        if not self.is_open and self.failures < self._failures_until_open:
            return
        self.is_open = True
        rest_s = self._first_rest_s * 2.0 ** min(self._setbacks, _MOST_DOUBLINGS)
        self._look_at_s = self._clock() + min(rest_s, self._longest_rest_s)
        self._setbacks += 1
