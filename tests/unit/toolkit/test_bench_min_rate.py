from dataclasses import replace
from pathlib import Path

import pytest

from fakes.bench_results import MIX, bench_run, load, record, step_result
from scout_deploy.bench.min_rate import check_min_rate, is_held, require_rate
from scout_deploy.bench.plan import BenchPlan, quick_plan
from scout_deploy.errors import ProfileError, ServiceLevelMissedError
from scout_loadtest.bench_run import Step


def test_a_rate_that_held_or_a_higher_one_is_enough() -> None:
    require_rate(bench_run("one").model_copy(update={"highest_rate": 5.0}), 5.0, None)


@pytest.mark.parametrize(("highest", "words"), [(4.25, "4.25 do"), (None, "no rate that was tried does")])
def test_a_rate_that_did_not_hold_is_said_with_the_reason(highest: float | None, words: str) -> None:
    tried = step_result([record(0)], of=load(rate=5.0))
    step = Step(purpose="search", starts_s=0, result=tried, holds=False, because="9 of 100 were late")
    found = {"highest_rate": highest, "lowest_failed_rate": 5.0}
    run = bench_run("one", steps=(step,)).model_copy(update=found)

    with pytest.raises(ServiceLevelMissedError) as raised:
        require_rate(run, 5.0, Path("/r.html"))

    assert raised.value.message == f"5 requests/s do not hold the service level; {words}"
    assert (raised.value.next_step, raised.value.evidence) == ("see /r.html", ("9 of 100 were late",))
    assert raised.value.exit_code == 19


def test_a_rate_that_could_not_be_judged_is_not_called_missed() -> None:
    tried = step_result([record(0)], of=load(rate=5.0))
    step = Step(purpose="search", starts_s=0, result=tried, because="the client was not fast enough")
    run = bench_run("one", steps=(step,)).model_copy(update={"highest_rate": 2.5})

    with pytest.raises(ServiceLevelMissedError) as raised:
        require_rate(run, 5.0, None)

    said = "5 requests/s were not seen to hold the service level, nor to miss it; 2.5 do"
    assert (raised.value.message, raised.value.evidence) == (said, ("the client was not fast enough",))
    assert is_held(run, 5.0) is None


def test_a_rate_that_there_was_no_time_for_is_said_to_be_untried() -> None:
    with pytest.raises(ServiceLevelMissedError) as raised:
        require_rate(bench_run("one"), 5.0, None)

    assert raised.value.evidence == ("the time was over before that rate could be tried",)


@pytest.mark.parametrize(("plan", "least"), [(quick_plan(mix=MIX), 3.5), (BenchPlan(mix=MIX), 140 / 300)])
def test_a_rate_too_low_to_be_judged_is_refused_beforehand(plan: BenchPlan, least: float) -> None:
    assert plan.least_rate == pytest.approx(least)
    check_min_rate(replace(plan, start_rate=plan.least_rate))

    with pytest.raises(ProfileError, match=r"are too short to judge 0\.4 requests/s by") as raised:
        check_min_rate(replace(plan, start_rate=0.4))

    needed_s = float(str(raised.value.next_step).rpartition("--duration ")[2])
    check_min_rate(replace(plan, start_rate=0.4, max_try_s=needed_s))
