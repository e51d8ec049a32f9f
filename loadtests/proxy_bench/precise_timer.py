"""Timers of microseconds on an event loop whose own are of milliseconds. Linux alone: it is a timerfd."""

import ctypes
import heapq
import os
from asyncio import AbstractEventLoop
from collections.abc import Callable
from time import monotonic_ns

_CLOCK_MONOTONIC = 1
_TFD_TIMER_ABSTIME = 1
_NS = 1_000_000_000


class _TimeSpec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("it_interval", _TimeSpec), ("it_value", _TimeSpec))


class PreciseTimer:
    """Calls back at times of the monotonic clock, in nanoseconds."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        # Python itself has timerfd from 3.13.
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        loop.add_reader(self._descriptor, self._expired)

    def call_at(self, when_ns: int, callback: Callable[[], None]) -> None:
        """Call once that time has come; one that has passed is called at once, but not from here."""
        self._count += 1
        heapq.heappush(self._due, (when_ns, self._count, callback))
        if self._due[0][1] == self._count:
            self._arm()

    def _arm(self) -> None:
        # A time of 0 would disarm it.
        seconds, nanoseconds = divmod(max(self._due[0][0], 1), _NS)
        spec = _TimerSpec(_TimeSpec(0, 0), _TimeSpec(seconds, nanoseconds))
        if self._libc.timerfd_settime(self._descriptor, _TFD_TIMER_ABSTIME, ctypes.byref(spec), None):
            raise OSError(ctypes.get_errno(), "timerfd_settime failed")

    def _expired(self) -> None:
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:
            return
        now = monotonic_ns()
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2]()
        if self._due:
            self._arm()
