from pathlib import Path

import pytest

from fakes.bench_results import bench_run, load, record, step_result
from scout_deploy.bench.min_rate import require_rate
from scout_deploy.errors import ServiceLevelMissedError
from scout_loadtest.bench_run import Step


def test_a_rate_that_held_or_a_higher_one_is_enough() -> None:
    require_rate(bench_run("one").model_copy(update={"highest_rate": 5.0}), 5.0, None)


@pytest.mark.parametrize(("highest", "words"), [(4.25, "4.25 do"), (None, "no rate that was tried does")])
def test_a_rate_that_did_not_hold_is_said_with_the_reason(highest: float | None, words: str) -> None:
    tried = step_result([record(0)], of=load(rate=5.0))
    step = Step(purpose="search", starts_s=0, result=tried, holds=False, because="9 of 100 were late")
    run = bench_run("one", steps=(step,)).model_copy(update={"highest_rate": highest})

    with pytest.raises(ServiceLevelMissedError) as raised:
        require_rate(run, 5.0, Path("/r.html"))

    assert raised.value.message == f"5 requests/s do not hold the service level; {words}"
    assert (raised.value.next_step, raised.value.evidence) == ("see /r.html", ("9 of 100 were late",))
    assert raised.value.exit_code == 19
