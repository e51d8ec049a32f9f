"""Watches the client's own process: its processor time, and how late its loop is."""

import time
from collections.abc import Iterator

import gevent

_PERIOD_S = 0.05


class Watch:
    """What the client used and how late it was since `start`."""

    def __init__(self) -> None:
        self.loop_late_ms: list[float] = []
        self._greenlet: gevent.Greenlet | None = None
        self._began_s, self._cpu_s = time.monotonic(), time.process_time()

    def start(self) -> None:
        """Begin."""
        self._began_s, self._cpu_s = time.monotonic(), time.process_time()
        self._greenlet = gevent.spawn(self._sample)

    def stop(self) -> None:
        """End; may be called again."""
        if self._greenlet is not None:
            self._greenlet.kill()

    @property
    def cpu(self) -> float:
        """Share of one processor that was used until now."""
        return (time.process_time() - self._cpu_s) / max(time.monotonic() - self._began_s, 1e-9)

    def _sample(self) -> None:
        while True:
            began_s = time.monotonic()
            gevent.sleep(_PERIOD_S)
            self.loop_late_ms += late_looks((time.monotonic() - began_s - _PERIOD_S) * 1000, _PERIOD_S * 1000)


def late_looks(late_ms: float, period_ms: float) -> Iterator[float]:
    """Yield how late this look is, and how late those were that it kept from being taken.

    A loop that stood still for a second is one late look among hundreds, and was late for all who wanted it meanwhile.
    """
    yield late_ms
    while (late_ms := late_ms - period_ms) > 0:
        yield late_ms
