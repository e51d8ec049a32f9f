"""One benchmark from its first request to its result, whatever ends it: the curve, then the search."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from scout_deploy.bench.load_child import LoadInterrupted, LoadProgress
from scout_deploy.bench.plan import BenchPlan
from scout_deploy.bench.rate_search import RateSearch
from scout_deploy.bench.service_level import Outcome, judge, targets_of
from scout_deploy.errors import DeployError
from scout_deploy.profile.profile import ServiceLevel
from scout_deploy.progress import Tell
from scout_loadtest.bench_run import Step
from scout_loadtest.figures import Targets
from scout_loadtest.step import Load, StepResult

# What nobody can say is not the service's fault.
_HOLDS = {Outcome.HELD: True, Outcome.MISSED: False, Outcome.UNCLEAR: None}


class Offer(Protocol):
    """Offers one load; `LoadChild.offer`."""

    def __call__(self, load: Load, targets: Targets, tell: Callable[[LoadProgress], None]) -> StepResult:
        """See `LoadChild.offer`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was measured.

    Args:
        ended_early: Why, in words; None where all of it was done.
        by_user: It was Ctrl-C.
        failure: It was this, on our side; None where it was not.
        limited_by_client: The search ended at what this client can offer, or judge, and not at the service's limit.
    """

    steps: tuple[Step, ...]
    took_s: float
    highest_rate: float | None = None
    lowest_failed_rate: float | None = None
    limited_by_client: bool = False
    ended_early: str | None = None
    by_user: bool = False
    failure: DeployError | None = None


@dataclass
class Benchmark:
    """Carries out a plan.

    Args:
        level: What the search holds every try against; nothing is searched where it is not set.
        show: Is given every step as it ends.
        clock: Monotonic seconds.
    """

    plan: BenchPlan
    level: ServiceLevel
    offer: Offer
    tell: Tell
    show: Callable[[Step], None]
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    _steps: list[Step] = field(default_factory=list, init=False)
    _search: RateSearch | None = field(default=None, init=False)
    _began_s: float = field(default=0.0, init=False)
    _began_at: float = field(default=0.0, init=False)
    _overhead_s: float = field(default=0.0, init=False)

    def run(self) -> Measured:
        """Do all of it; Ctrl-C, a service that died and trouble of our own end it early, with what was measured.

        Raises:
            DeployError: Nothing was measured yet, such as where the data file is malformed.
        """
        self._began_s, self._began_at = self.clock(), self.now()
        try:
            self._curve()
            if self.level.is_set and (self.plan.search or self.plan.start_rate is not None):
                self._find_rate()
        except _EndedError as exc:
            return self._measured(ended_early=str(exc))
        except LoadInterrupted as exc:
            if exc.result is not None:
                self._keep(exc.result, purpose="search" if self._search is not None else "curve")
            return self._measured(ended_early="Ctrl-C", by_user=True)
        except KeyboardInterrupt:
            return self._measured(ended_early="Ctrl-C", by_user=True)
        except DeployError as exc:
            if not self._steps:
                raise
            return self._measured(ended_early=exc.message, failure=exc)
        return self._measured()

    def _curve(self) -> None:
        for number, users in enumerate(self.plan.users):
            name = f"{users} user{'s' if users > 1 else ''}"
            result = self._offer(self.plan.step(users, number), name)
            self._keep(result, purpose="curve")
            _check_alive(result)

    def _find_rate(self) -> None:
        most = max((one.result.figures.answered_per_s for one in self._steps), default=0.0)
        self._search = RateSearch(rules=self.plan.rules(most))
        while (rate := self._search.next_rate) is not None and self._has_time(rate):
            result = self._offer(self.plan.attempt(rate, len(self._steps)), f"{rate:.3g}/s")
            verdict = judge(result, self.level, min_requests=self.plan.min_requests)
            self._keep(result, purpose="search", holds=_HOLDS[verdict.outcome], because=verdict.because)
            _check_alive(result)
            self._search = self._search.after(rate, verdict.outcome)
            if not self.plan.search and self._search.doubt is None:
                return

    def _has_time(self, rate: float) -> bool:
        if self.plan.budget_s is None:
            return True
        load = self.plan.attempt(rate, 0)
        needed_s = load.warm_up_s + load.duration_s + self._overhead_s
        return self.clock() - self._began_s + needed_s <= self.plan.budget_s

    def _offer(self, load: Load, name: str) -> StepResult:
        whole_s = load.warm_up_s + load.duration_s
        self.tell(name, None)

        def tell(progress: LoadProgress) -> None:
            self.tell(name, progress_words(progress), percent=min(100.0, 100.0 * progress.elapsed_s / whole_s))

        began_s = self.clock()
        result = self.offer(load, targets_of(self.level), tell)
        self._overhead_s = max(self._overhead_s, self.clock() - began_s - whole_s)
        return result

    def _keep(self, result: StepResult, *, purpose: str, holds: bool | None = None, because: str | None = None) -> None:
        starts_s = round(result.began_at - self._began_at, 3)
        step = Step(purpose=purpose, starts_s=starts_s, result=result, holds=holds, because=because)
        self._steps.append(step)
        self.show(step)

    def _measured(
        self, *, ended_early: str | None = None, by_user: bool = False, failure: DeployError | None = None
    ) -> Measured:
        search = self._search
        return Measured(
            steps=tuple(self._steps),
            took_s=round(self.clock() - self._began_s, 3),
            highest_rate=None if search is None else search.held,
            lowest_failed_rate=None if search is None else search.missed,
            limited_by_client=search is not None and search.is_limited_by_client,
            ended_early=ended_early,
            by_user=by_user,
            failure=failure,
        )


class _EndedError(Exception):
    """There is nothing more to measure; the message says why."""


def _check_alive(result: StepResult) -> None:
    measured = [one for one in result.records if not one.is_warm_up]
    # Where those of the warm-up wait in vain to the end, no others are sent.
    last = measured or result.records
    kinds = Counter(one.error.value for one in last if one.error is not None)
    if last and kinds.total() == len(last):
        named = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        raise _EndedError(f"the service answers no more: the last {len(last)} requests failed ({named})")


def progress_words(progress: LoadProgress) -> str:
    """Say how far a load is."""
    facts = [f"{progress.ended} answered", f"{progress.in_flight} in flight"]
    if progress.failed:
        facts.append(f"{progress.failed} failed")
    if progress.ttft_p50_ms is not None:
        facts.append(f"TTFT {progress.ttft_p50_ms:.0f} ms")
    if progress.output_tokens_per_s is not None:
        facts.append(f"{progress.output_tokens_per_s:.0f} tokens/s")
    return ", ".join(facts)
