"""How long and how hard to measure: the loads of one benchmark, made from what was asked for. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, log2
from pathlib import Path
from typing import Any

from scout_deploy.bench.rate_search import SearchRules
from scout_deploy.bench.service_level import MIN_REQUESTS
from scout_loadtest.step import Arrival, Load

# A rate is an average: so many more are due that hardly ever too few come.
_MARGIN = 1.4
# Of what the closed loop carried at most; with the targets of most people a little less than all of it holds.
_START_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class BenchPlan:
    """What one benchmark does.

    Args:
        users: Of the steps of the curve.
        duration_s: Of each step, and of a try of the search that sees enough requests in it.
        max_try_s: A low rate is tried for longer, at most so long.
        budget_s: Seconds after which nothing new begins; None for no limit.
        search: Whether to look for the highest rate; without it `start_rate` alone is tried, where it is set.
        start_rate: The first rate of the search; from the curve where None.
    """

    users: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    duration_s: float = 30.0
    warm_up_s: float = 5.0
    max_try_s: float = 300.0
    request_timeout_s: float = 60.0
    budget_s: float | None = None
    precision: float = 0.05
    misses_needed: int = 2
    max_tries: int = 14
    min_requests: int = 2 * MIN_REQUESTS
    search: bool = True
    start_rate: float | None = None
    mix: Mapping[str, float]
    data: Path | None = None
    seed: int = 0

    @property
    def least_rate(self) -> float:
        """The lowest rate of which enough requests come in the longest try to judge it."""
        return _MARGIN * self.min_requests / self.max_try_s

    def step(self, users: int, number: int) -> Load:
        """Return the load of one step of the curve; every one of a benchmark, by its number, sends other requests."""
        return Load(arrival=Arrival.CLOSED, users=users, **self._rest(self.duration_s, number))

    def attempt(self, rate: float, number: int) -> Load:
        """Return the load of one try of the search."""
        # In doublings, so that a later search of about the same rates has tries of the same length to compare with.
        doublings = max(0, ceil(log2(_MARGIN * self.min_requests / rate / self.duration_s)))
        duration_s = min(self.max_try_s, self.duration_s * 2**doublings)
        return Load(arrival=Arrival.POISSON, rate=rate, **self._rest(duration_s, number))

    def rules(self, most_answered_per_s: float) -> SearchRules:
        """Return how to search, from the most that the closed loop carried."""
        start = self.start_rate or max(self.least_rate, _START_SHARE * most_answered_per_s)
        return SearchRules(
            start=start,
            floor=min(self.least_rate, start),
            precision=self.precision,
            max_tries=self.max_tries,
            misses_needed=self.misses_needed,
        )

    def _rest(self, duration_s: float, number: int) -> dict[str, Any]:
        return {
            "duration_s": duration_s,
            "warm_up_s": self.warm_up_s,
            # The prompts of another step would be known to the engine's prefix cache.
            "seed": self.seed + number,
            "mix": dict(self.mix),
            "data": self.data,
            "request_timeout_s": self.request_timeout_s,
        }


def quick_plan(*, mix: Mapping[str, float], data: Path | None = None, seed: int = 0) -> BenchPlan:
    """Return a plan that ends within two minutes, with coarser figures."""
    return BenchPlan(
        users=(1, 2, 4, 8),
        duration_s=5.0,
        warm_up_s=1.0,
        max_try_s=20.0,
        request_timeout_s=10.0,
        budget_s=105.0,
        precision=0.15,
        misses_needed=1,
        max_tries=8,
        min_requests=MIN_REQUESTS,
        mix=mix,
        data=data,
        seed=seed,
    )
