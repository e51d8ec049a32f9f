"""When a load counts as one that held the service level."""

import pytest

from fakes.bench_results import record, step_result
from scout_deploy.bench.service_level import Outcome, declared_level, judge, targets_of
from scout_deploy.profile.profile import ServiceLevel
from scout_loadtest.figures import Targets
from scout_loadtest.record import ErrorKind, Record

LEVEL = ServiceLevel(ttft_p99_ms=100)


def records(good: int, *bad: Record) -> list[Record]:
    return [*(record(index) for index in range(good)), *bad]


def test_one_in_a_hundred_may_be_late_and_no_more() -> None:
    late = record(1000, ttft_ms=150)

    assert judge(step_result(records(99, late)), LEVEL).outcome is Outcome.HELD
    missed = judge(step_result(records(98, late, late)), LEVEL)
    assert missed.outcome is Outcome.MISSED
    assert missed.because == "2 of 100 requests were beyond TTFT 100 ms; the slowest took 150 ms"


def test_with_fewer_than_a_hundred_none_may() -> None:
    assert judge(step_result(records(60, record(1000, ttft_ms=150))), LEVEL).outcome is Outcome.MISSED


def test_a_request_that_failed_kept_no_target() -> None:
    failed = record(1000, error=ErrorKind.OVERLOADED)

    verdict = judge(step_result(records(98, failed, record(1001, ttft_ms=150))), LEVEL)

    assert verdict.because == "2 of 100 requests were beyond TTFT 100 ms, 1 of them failed; the slowest took 150 ms"
    assert judge(step_result(records(98, failed, failed)), LEVEL).because == "2 of 100 requests failed"


@pytest.mark.parametrize(
    ("level", "words"),
    [
        (ServiceLevel(tpot_p99_ms=4), "beyond TPOT 4 ms"),
        (ServiceLevel(e2e_p99_ms=99), "beyond end to end 99 ms"),
        (ServiceLevel(ttft_p99_ms=49), "beyond TTFT 49 ms"),
    ],
)
def test_every_target_is_held_against_the_requests(level: ServiceLevel, words: str) -> None:
    assert words in judge(step_result(records(100)), level).because


def test_goodput_wants_all_targets_at_once() -> None:
    # Each of the two is kept by 99 of 100; both at once by 98.
    mixed = records(98, record(1000, ttft_ms=150), record(1001, tpot_ms=50))
    level = ServiceLevel(ttft_p99_ms=100, tpot_p99_ms=10)

    assert judge(step_result(mixed), level).outcome is Outcome.HELD
    strict = judge(step_result(mixed), level.model_copy(update={"goodput": 0.99}))
    assert strict.because == "goodput 98.0%, and not 99.0%"


def test_too_few_requests_and_a_slow_client_say_nothing() -> None:
    assert judge(step_result(records(20)), LEVEL).outcome is Outcome.UNCLEAR
    verdict = judge(step_result(records(100, record(1, ttft_ms=900), record(2, ttft_ms=900)), client="one core"), LEVEL)
    assert verdict.outcome is Outcome.UNCLEAR
    assert "the client was not fast enough: one core" in verdict.because


def test_what_was_sent_to_warm_up_counts_nowhere() -> None:
    cold = [record(index, ttft_ms=900, is_warm_up=True) for index in range(50)]

    assert judge(step_result([*cold, *records(100)]), LEVEL).outcome is Outcome.HELD


def test_a_deployment_says_its_service_level_by_its_settings() -> None:
    settings = {"service_level/ttft_p99_ms": "500.0", "service_level/goodput": "odd", "replicas": "1"}

    level = declared_level(settings)

    assert level == ServiceLevel(ttft_p99_ms=500)
    assert targets_of(level) == Targets(ttft_ms=500)
    assert not declared_level({}).is_set
