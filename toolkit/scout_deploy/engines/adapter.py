"""What an engine adapter answers. Pure: no adapter starts anything."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class StartPhase:
    """A step of an engine's start, read off one of its log lines.

    Args:
        name: Such as `load`; `ready` is the last one.
        detail: One line for a person.
        percent: Of this phase, where the line says it.
    """

    name: str
    detail: str | None = None
    percent: float | None = None


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """An engine's death in words.

    Args:
        exit_code: The status that the command line ends with for this cause.
    """

    exit_code: int
    cause: str
    next_step: str | None = None


class EngineAdapter(Protocol):
    """One engine's habits."""

    def read_phase(self, line: str) -> StartPhase | None:
        """Return the phase that this log line announces, if it announces one."""

    def explain_exit(self, code: int, lines: tuple[str, ...]) -> Explanation:
        """Say why the engine ended, from its status (negative: a signal's number) and its last log lines."""
