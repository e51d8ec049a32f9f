"""Something worth showing while a deployment starts or changes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A phase that began, or how far it is.

    Args:
        phase: The phase, or `note` for a remark.
        elapsed_s: Seconds since the command began.
        percent: Of this phase, 0 to 100, where it can be known.
        estimate_s: Seconds until the whole is done, where it can be known.
        is_update: The phase goes on; only its detail or its percentage changed.
        part: Which of several parts it is about, such as `engine 1`; None for the whole.
    """

    phase: str
    detail: str | None
    elapsed_s: float
    percent: float | None = None
    estimate_s: float | None = None
    is_update: bool = False
    part: str | None = None


class Tell(Protocol):
    """Says that a phase began, or how far it is."""

    def __call__(
        self,
        phase: str,
        detail: str | None = None,
        *,
        percent: float | None = None,
        estimate_s: float | None = None,
        part: str | None = None,
    ) -> None:
        """Show it. The same phase again is an update of it."""
        ...


class Teller:
    """Makes `Progress` of what is told, with the time since its making.

    Args:
        emit: Shows one.
        clock: Monotonic seconds.
    """

    def __init__(self, emit: Callable[[Progress], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._emit = emit
        self._clock = clock
        self._began_s = clock()
        self._phases: dict[str | None, str] = {}

    @property
    def elapsed_s(self) -> float:
        """Seconds since the command began."""
        return self._clock() - self._began_s

    def __call__(
        self,
        phase: str,
        detail: str | None = None,
        *,
        percent: float | None = None,
        estimate_s: float | None = None,
        part: str | None = None,
    ) -> None:
        """See `Tell`."""
        is_note = phase == "note"
        self._emit(
            Progress(
                phase=phase,
                detail=detail,
                elapsed_s=self.elapsed_s,
                percent=percent,
                estimate_s=estimate_s,
                is_update=not is_note and phase == self._phases.get(part),
                part=part,
            )
        )
        if not is_note:
            if part is None:
                # The whole went on, so no part is where it was.
                self._phases.clear()
            self._phases[part] = phase
