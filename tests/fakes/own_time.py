"""An event loop with a time of its own, which passes while nobody has anything to do, and then at once.

For what waits for timers alone: no machine that stands still has them come too early.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")

# Of a loop, without a rest: more is work without end.
_MOST_TURNS = 50_000
_TURN_S = 1e-6


class _Selector(selectors.SelectSelector):
    """Waits for nothing; what it would have waited has passed."""

    def __init__(self) -> None:
        super().__init__()
        self.passed_s = 0.0
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise AssertionError("everybody waits, and nothing will come")
        self._turns = 0 if timeout else self._turns + 1
        if self._turns > _MOST_TURNS:
            raise AssertionError("somebody never rests")
        self.passed_s += timeout or _TURN_S
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._waits = _Selector()
        super().__init__(self._waits)

    def time(self) -> float:
        return self._waits.passed_s


def run_in_own_time(story: Coroutine[Any, Any, _T]) -> _T:
    """Run a story that nothing from outside of its loop has a part in, and return its end."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(story)
