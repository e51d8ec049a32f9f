"""What a download of weights looks like to whoever waits for it."""

import time
from collections.abc import Callable

from scout_deploy.progress import Tell
from scout_deploy.weights.progress import TransferRate
from scout_deploy.weights.repository import DownloadProgress

FETCH = "fetch weights"
# Stands for the commit in a path before the hub was asked for it.
UNRESOLVED = "COMMIT"
_MEGABYTE = 1e6
_GIGABYTE = 1e9
_MINUTE_S = 60


class Meter:
    """Shows a download: bytes, rate, a connection that broke, and a stall.

    Args:
        phase: What it is called.
        clock: Monotonic seconds.
    """

    def __init__(self, tell: Tell, clock: Callable[[], float] = time.monotonic, *, phase: str = FETCH) -> None:
        self._tell = tell
        self._phase = phase
        self._clock = clock
        self._rate = TransferRate()
        self._was_stalled = False
        self._waited_for: str | None = None
        self._retries = 0

    def show(self, progress: DownloadProgress) -> None:
        """Show how far it is."""
        now_s = self._clock()
        self._rate.add(now_s, progress.done_bytes)
        if progress.waits_for is not None and progress.waits_for != self._waited_for:
            self._tell("note", f"{progress.waits_for} fetches this model already; waiting for it")
        self._waited_for = progress.waits_for
        if progress.retries > self._retries:
            self._tell("note", progress.trouble)
        self._retries = progress.retries
        stalled = self._rate.is_stalled(now_s)
        if stalled and not self._was_stalled:
            silent_s = self._rate.silent_s(now_s)
            self._tell("note", f"stalled: no byte came for {silent_s:.0f} s; the network, or the hub; still trying")
        self._was_stalled = stalled
        rate = self._rate.bytes_per_s
        total = progress.total_bytes
        speed = f", {rate / _MEGABYTE:.1f} MB/s{_left(self._rate.remaining_s(total))}" if rate else ""
        self._tell(
            self._phase,
            f"{_of(progress.done_bytes, total)}{speed}",
            percent=100 * progress.done_bytes / total if total else None,
        )


def _of(done_bytes: int, total_bytes: int) -> str:
    unit, name = (_GIGABYTE, "GB") if total_bytes >= _GIGABYTE else (_MEGABYTE, "MB")
    return f"{done_bytes / unit:.2f} of {total_bytes / unit:.2f} {name}"


def _left(seconds: float | None) -> str:
    if not seconds:
        return ""
    return f", {seconds:.0f} s left" if seconds < 2 * _MINUTE_S else f", {seconds / _MINUTE_S:.0f} min left"
