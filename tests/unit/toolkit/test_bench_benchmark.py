"""A whole benchmark over services that are played: what is tried, and what is known when it ends early."""

from collections.abc import Callable

import pytest

from fakes.bench_results import MIX, record, step_result
from scout_deploy.bench.benchmark import Benchmark, Measured
from scout_deploy.bench.load_child import LoadInterrupted, LoadProgress
from scout_deploy.bench.plan import BenchPlan, quick_plan
from scout_deploy.errors import DeployError
from scout_deploy.profile.profile import ServiceLevel
from scout_deploy.progress import Teller
from scout_loadtest.bench_run import Step
from scout_loadtest.figures import Targets
from scout_loadtest.record import ErrorKind
from scout_loadtest.step import Load, StepResult

LEVEL = ServiceLevel(ttft_p99_ms=100)


class Played:
    """A service that carries so many requests a second, and a clock that only it moves."""

    def __init__(self, *, capacity: float, break_at: int | None = None, how: str = "dies") -> None:
        self.capacity = capacity
        self.loads: list[Load] = []
        self.now_s = 0.0
        self._break_at = break_at
        self._how = how

    def offer(self, load: Load, targets: Targets, tell: Callable[[LoadProgress], None]) -> StepResult:
        assert targets.ttft_ms in {100, None}
        self.loads.append(load)
        tell(LoadProgress(elapsed_s=1.0, sent=1, ended=1, failed=0, in_flight=0))
        began_s = self.now_s
        self.now_s += load.warm_up_s + load.duration_s + 1.0
        rate = load.rate or min(self.capacity, 4.0 * (load.users or 1))
        count = round(rate * load.duration_s)
        is_broken = self._break_at is not None and len(self.loads) >= self._break_at
        error = ErrorKind.REFUSED if is_broken and self._how == "dies" else None
        ttft_ms = 50.0 if rate <= self.capacity else 500.0
        result = step_result(
            [record(index, ttft_ms=ttft_ms, error=error) for index in range(count)], of=load, began_at=1000.0 + began_s
        )
        if is_broken and self._how == "hangs":
            waiting = [record(index, error=ErrorKind.TIMEOUT, is_warm_up=True) for index in range(4)]
            return step_result(waiting, of=load, began_at=1000.0 + began_s)
        if is_broken and self._how == "crashes":
            raise DeployError("what sends the requests ended with status -9 and without a result")
        if is_broken and self._how == "Ctrl-C":
            raise LoadInterrupted(result.model_copy(update={"interrupted": "SIGINT"}))
        return result

    def clock(self) -> float:
        return self.now_s


def measure(service: Played, plan: BenchPlan, level: ServiceLevel = LEVEL) -> tuple[Measured, list[Step]]:
    shown: list[Step] = []
    benchmark = Benchmark(
        plan=plan,
        level=level,
        offer=service.offer,
        tell=Teller(lambda _: None, service.clock),
        show=shown.append,
        clock=service.clock,
        now=lambda: 1000.0,
    )
    return benchmark.run(), shown


def test_the_curve_comes_first_and_the_search_begins_from_it() -> None:
    service = Played(capacity=14.0)

    measured, shown = measure(service, BenchPlan(users=(1, 4), mix=MIX))

    assert [load.users for load in service.loads[:2]] == [1, 4]
    assert service.loads[2].rate == 7.0  # half of what the four carried
    assert measured.highest_rate is not None
    assert 13.0 < measured.highest_rate <= 14.0
    assert measured.lowest_failed_rate is not None
    assert 14.0 < measured.lowest_failed_rate < 15.0
    assert measured.steps == tuple(shown)
    assert {one.holds for one in shown if one.purpose == "curve"} == {None}
    assert [one.starts_s for one in shown] == sorted(one.starts_s for one in shown)


def test_no_two_loads_send_the_same_requests() -> None:
    service = Played(capacity=14.0)

    measure(service, quick_plan(mix=MIX, seed=7))

    seeds = [load.seed for load in service.loads]
    assert len(set(seeds)) == len(seeds)
    assert seeds[0] == 7


def test_a_quick_one_ends_within_two_minutes_however_slow_the_service() -> None:
    for capacity in (0.3, 3.0, 300.0):
        service = Played(capacity=capacity)

        measured, _ = measure(service, quick_plan(mix=MIX))

        assert measured.took_s < 120


def test_a_low_rate_is_tried_for_long_enough_to_be_judged() -> None:
    service = Played(capacity=1.5)

    measured, _ = measure(service, BenchPlan(users=(1,), mix=MIX))

    assert measured.highest_rate is not None
    assert all(load.rate * load.duration_s >= 100 for load in service.loads if load.rate is not None)


def test_without_a_service_level_nothing_is_searched() -> None:
    service = Played(capacity=14.0)

    measured, _ = measure(service, BenchPlan(users=(1, 2), mix=MIX), ServiceLevel())

    assert len(service.loads) == 2
    assert measured.highest_rate is None


def test_a_rate_that_is_asked_for_is_tried_first() -> None:
    service = Played(capacity=14.0)

    measure(service, BenchPlan(users=(1,), mix=MIX, start_rate=3.0))

    assert service.loads[1].rate == 3.0


def test_without_a_search_the_rate_that_is_asked_for_is_tried_alone_and_a_miss_once_more() -> None:
    held, missed = Played(capacity=14.0), Played(capacity=2.0)
    plan = BenchPlan(users=(1,), mix=MIX, start_rate=3.0, search=False)

    assert measure(held, plan)[0].highest_rate == 3.0
    assert measure(missed, plan)[0].lowest_failed_rate == 3.0
    assert [[load.rate for load in one.loads] for one in (held, missed)] == [[None, 3.0], [None, 3.0, 3.0]]


def test_a_service_that_died_ends_it_with_what_was_measured() -> None:
    measured, shown = measure(Played(capacity=14.0, break_at=2), BenchPlan(users=(1, 2, 4), mix=MIX))

    assert len(shown) == 2
    assert measured.ended_early is not None
    assert "240 connection refused" in measured.ended_early
    assert not measured.by_user


def test_a_service_that_hangs_ends_it_though_nothing_but_the_warm_up_was_sent() -> None:
    measured, shown = measure(Played(capacity=14.0, break_at=2, how="hangs"), BenchPlan(users=(1, 2, 4), mix=MIX))

    assert len(shown) == 2
    assert measured.ended_early == "the service answers no more: the last 4 requests failed (4 timeout)"


def test_a_sender_that_dies_ends_it_with_what_was_measured() -> None:
    measured, shown = measure(Played(capacity=14.0, break_at=3, how="crashes"), BenchPlan(users=(1, 2, 4), mix=MIX))

    assert measured.steps == tuple(shown)
    assert len(shown) == 2
    assert measured.ended_early == "what sends the requests ended with status -9 and without a result"
    assert measured.failure is not None
    with pytest.raises(DeployError, match="status -9"):
        measure(Played(capacity=14.0, break_at=1, how="crashes"), BenchPlan(users=(1, 2, 4), mix=MIX))


def test_ctrl_c_keeps_the_load_that_was_under_way() -> None:
    measured, shown = measure(Played(capacity=14.0, break_at=2, how="Ctrl-C"), BenchPlan(users=(1, 2, 4), mix=MIX))

    assert measured.by_user
    assert measured.ended_early == "Ctrl-C"
    assert [one.result.interrupted for one in shown] == [None, "SIGINT"]
