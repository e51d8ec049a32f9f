"""Says that something fell silent, while whoever listens to it is blocked by that very silence."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

_LOOKS_PER_LIMIT = 10


class SilenceAlarm:
    """Around the work: `touch` at each sign of life.

    Args:
        limit_s: Seconds without a sign that are a silence.
        say: Called once for each silence, with its seconds so far, in a thread of its own.
        clock: Monotonic seconds.
    """

    def __init__(
        self, limit_s: float, say: Callable[[float], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit_s = limit_s
        self._say = say
        self._clock = clock
        self._last_s = clock()
        self._was_said = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="silence alarm", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def touch(self) -> None:
        """Note a sign of life."""
        self._last_s = self._clock()
        self._was_said = False

    def _listen(self) -> None:
        while not self._ended.wait(self._limit_s / _LOOKS_PER_LIMIT):
            silent_s = self._clock() - self._last_s
            if silent_s >= self._limit_s and not self._was_said:
                self._was_said = True
                self._say(silent_s)
