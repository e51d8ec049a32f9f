"""How fast bytes come, how long it will take, and whether they still come. Time is passed in, in seconds."""

from collections import deque

_FEWEST = 2


class TransferRate:
    """Rate and remaining time over the last seconds of a transfer.

    Args:
        window_s: How far back the rate looks: long enough to be calm, short enough to notice a change.
        stall_after_s: Seconds without a byte after which the transfer counts as stalled.
    """

    def __init__(self, *, window_s: float = 15.0, stall_after_s: float = 30.0) -> None:
        self._window_s = window_s
        self._stall_after_s = stall_after_s
        self._samples: deque[tuple[float, int]] = deque()
        self._last_byte_s: float | None = None

    def add(self, now_s: float, done_bytes: int) -> None:
        """Take a sample; call it also when nothing came, and never with an earlier time."""
        if self._last_byte_s is None or done_bytes > self._samples[-1][1]:
            self._last_byte_s = now_s
        self._samples.append((now_s, done_bytes))
        # One sample from before the window stays, so that the rate spans all of it.
        while len(self._samples) > _FEWEST and self._samples[1][0] <= now_s - self._window_s:
            self._samples.popleft()

    @property
    def bytes_per_s(self) -> float | None:
        """Over the window; None before there are two moments to compare."""
        if not self._samples:
            return None
        (first_s, first_bytes), (last_s, last_bytes) = self._samples[0], self._samples[-1]
        return (last_bytes - first_bytes) / (last_s - first_s) if last_s > first_s else None

    def remaining_s(self, total_bytes: int) -> float | None:
        """Seconds until `total_bytes` at the rate of now; None where no bytes come."""
        rate = self.bytes_per_s
        if not rate:
            return None
        return max(0, total_bytes - self._samples[-1][1]) / rate

    def silent_s(self, now_s: float) -> float:
        """Seconds since the last byte, or since the first sample."""
        return 0.0 if self._last_byte_s is None else max(0.0, now_s - self._last_byte_s)

    def is_stalled(self, now_s: float) -> bool:
        """Whether no byte came for so long that the user should be told."""
        return self.silent_s(now_s) >= self._stall_after_s
