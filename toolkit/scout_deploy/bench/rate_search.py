"""The search for the highest arrival rate that holds: a ramp that doubles, then bisection. Pure: knows no server.

A server that is measured is noisy: a rate that is missed once is tried again before it counts, except where time is
short. A try that shows nothing (the client was too slow, too few requests came) is a ceiling for what may be asked, and
never a statement about the server.
"""

from dataclasses import dataclass, replace
from math import sqrt

from scout_deploy.bench.service_level import Outcome

_GROWTH = 2.0


@dataclass(frozen=True, kw_only=True)
class SearchRules:
    """How far to search.

    Args:
        start: The first rate, in requests a second.
        floor: No lower rate is tried.
        precision: The search ends when the lowest rate that was missed is within this share of the highest that held.
        max_tries: It ends after so many, whatever is known.
        misses_needed: How often a rate has to be missed before it counts as missed.
    """

    start: float
    floor: float = 0.05
    precision: float = 0.05
    max_tries: int = 16
    misses_needed: int = 2


@dataclass(frozen=True, kw_only=True)
class RateSearch:
    """What is known so far; `after` returns the next state.

    Args:
        held: The highest rate that was seen to hold.
        missed: The lowest above it that was seen to be missed, as often as the rules want.
        ceiling: The lowest rate that nothing could be said of; nothing at or above it is tried.
        doubt: A rate that was missed, but not often enough, and how often.
    """

    rules: SearchRules
    held: float | None = None
    missed: float | None = None
    ceiling: float | None = None
    doubt: tuple[float, int] | None = None
    tries: int = 0

    @property
    def next_rate(self) -> float | None:
        """The rate to try; None where the search is over."""
        if self.tries >= self.rules.max_tries:
            return None
        if self.doubt is not None:
            return self.doubt[0]
        top = self._top
        if self.held is None and top is None:
            return self.rules.start
        if self.held is None and top is not None:
            lower = max(top / _GROWTH, self.rules.floor)
            return lower if lower * (1.0 + self.rules.precision) < top else None
        if self.held is not None and top is None:
            return self.held * _GROWTH
        return self._between()

    @property
    def is_limited_by_client(self) -> bool:
        """Whether the service may carry more than this client can offer, or this time can show."""
        return self.ceiling is not None and (self.missed is None or self.ceiling < self.missed)

    def after(self, rate: float, outcome: Outcome) -> "RateSearch":
        """Return what is known once `rate` was tried."""
        known = replace(self, tries=self.tries + 1, doubt=None)
        if outcome is Outcome.HELD:
            # A rate below, that was missed, was an accident: a server that carries more carries that too.
            missed = None if self.missed is not None and self.missed <= rate else self.missed
            return replace(known, held=max(rate, self.held or 0.0), missed=missed)
        if outcome is Outcome.UNCLEAR:
            return replace(known, ceiling=min(rate, self.ceiling or rate))
        misses = 1 + (self.doubt[1] if self.doubt is not None and self.doubt[0] == rate else 0)
        if misses < self.rules.misses_needed:
            return replace(known, doubt=(rate, misses))
        return replace(known, missed=min(rate, self.missed or rate))

    @property
    def _top(self) -> float | None:
        return min((one for one in (self.missed, self.ceiling) if one is not None), default=None)

    def _between(self) -> float | None:
        held, top = self.held, self._top
        if held is None or top is None or top <= held * (1.0 + self.rules.precision):
            return None
        return sqrt(held * top)
