"""When a process that died is started again: at once, then later and later, and not for ever."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """The rule; all times in seconds.

    Args:
        first_s: Delay after the second death in a row; the first one costs no delay.
        cap_s: The longest delay.
        healthy_after_s: A process that served this long has forgotten its earlier deaths.
        attempts: Deaths in a row after which it is given up.
    """

    first_s: float = 1.0
    cap_s: float = 30.0
    healthy_after_s: float = 60.0
    attempts: int = 10

    def deaths_in_a_row(self, earlier: int, served_s: float) -> int:
        """Count this death, after `served_s` seconds of service, on top of the earlier ones."""
        return 1 if served_s >= self.healthy_after_s else earlier + 1

    def delay_s(self, deaths: int) -> float | None:
        """Return how long to wait after so many deaths in a row (1 or more), or None to give up."""
        if deaths >= self.attempts:
            return None
        return 0.0 if deaths == 1 else min(self.cap_s, self.first_s * 2.0 ** (deaths - 2))
