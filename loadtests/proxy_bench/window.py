"""One window of load on one server: what was answered, who used how much of a core, and whether it counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

SATURATED = 0.95
NOISE = 0.10


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Shares of a core over a window.

    Args:
        server: Of the server that was measured.
        load: Of the load generator, the engine and the benchmark itself, which share a core.
        others: Of everybody else, on both cores together.
        server_core: How busy the server's core was, with whatever.
        load_core: How busy the other one was.
    """

    server: float
    load: float
    others: float
    server_core: float
    load_core: float

    @property
    def is_void(self) -> bool:
        """Whether the generator was measured instead of the server."""
        return self.load_core >= SATURATED > self.server_core

    @property
    def shown(self) -> str:
        """For a line of progress."""
        shares = f"server {self.server:4.0%}  load {self.load:4.0%}  others {self.others:3.0%}"
        return f"{shares}  VOID" if self.is_void else shares


@dataclass(frozen=True, kw_only=True)
class Window:
    """A value and who worked for it."""

    value: float
    usage: Usage


@dataclass(frozen=True, kw_only=True)
class Series:
    """The windows of one server in one row.

    Args:
        cost_us: Processor time of the server for each request, in microseconds.
        note: What else was seen.
    """

    server: str
    unit: str
    windows: Sequence[Window]
    cost_us: float | None = None
    note: str = ""

    @property
    def counted(self) -> list[float]:
        """The values of the windows that are not void; of all where most are."""
        valid = [window.value for window in self.windows if not window.usage.is_void]
        return [window.value for window in self.windows] if self.is_void else valid

    @property
    def is_void(self) -> bool:
        """Whether fewer than half of the windows count."""
        void = sum(window.usage.is_void for window in self.windows)
        return 2 * void > len(self.windows)

    @property
    def value(self) -> float:
        """The median."""
        return median(self.counted)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest."""
        return min(self.counted), max(self.counted)

    def share(self, who: str) -> float:
        """The median share of a core of `server`, `load` or `others`."""
        shares: list[float] = [getattr(window.usage, who) for window in self.windows]
        return median(shares)
