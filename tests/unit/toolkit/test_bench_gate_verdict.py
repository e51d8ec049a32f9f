"""When new engines pass their gate, when they do not, and when nothing can be said."""

from collections.abc import Iterable

import pytest

from fakes.bench_results import record
from scout_deploy.bench.gate_load import SHORTEST_S, gate_load, is_cut_short
from scout_deploy.bench.gate_verdict import FEWEST, gate_figures, judge_gate
from scout_deploy.bench.service_level import Outcome, targets_of
from scout_deploy.profile.profile import ServiceLevel
from scout_loadtest.figures_of import figures_of
from scout_loadtest.record import ErrorKind, Record
from scout_loadtest.step import ClientHealth, Load, StepResult

LEVEL = ServiceLevel(ttft_p99_ms=100, tpot_p99_ms=10)
LOAD = gate_load(1, None)
SHORT = gate_load(1, SHORTEST_S)


def result(
    *records: Record, load: Load = LOAD, client: str | None = None, cpu: float = 0.1, level: ServiceLevel = LEVEL
) -> StepResult:
    targets = targets_of(level)
    return StepResult(
        load=load,
        targets=targets,
        began_at=0.0,
        took_s=10.0,
        records=records,
        figures=figures_of(records, load=load, targets=targets),
        client=ClientHealth(cpu=cpu, reason=client),
    )


def good(count: int, load: Load = LOAD) -> Iterable[Record]:
    return (record(index, due_s=load.warm_up_s) for index in range(count))


def slow(count: int = 1, load: Load = LOAD) -> Iterable[Record]:
    return (record(1000 + index, due_s=load.warm_up_s, ttft_ms=150) for index in range(count))


def failed(kind: ErrorKind, *, status: int | None = None, load: Load = LOAD) -> Record:
    return record(2000, due_s=load.warm_up_s, error=kind).model_copy(update={"status": status})


def test_few_requests_that_all_keep_the_level_pass_and_their_number_is_said() -> None:
    seen = result(*good(34))

    assert judge_gate(seen, LEVEL).outcome is Outcome.HELD
    assert gate_figures(seen, LEVEL) == (
        "slowest of 34 requests: TTFT 50 ms (at most 100), TPOT 5 ms (at most 10); none failed"
    )


def test_one_of_few_that_is_late_misses_and_one_of_a_hundred_does_not() -> None:
    verdict = judge_gate(result(*good(34), *slow()), LEVEL)

    assert (verdict.outcome, verdict.because) == (
        Outcome.MISSED,
        "1 of 35 requests were beyond TTFT 100 ms; the slowest took 150 ms",
    )
    many = result(*good(99), *slow())
    assert judge_gate(many, LEVEL).outcome is Outcome.HELD
    assert gate_figures(many, LEVEL).startswith("p99 of 100 requests: TTFT 50 ms (at most 100)")


def test_a_request_that_fails_misses() -> None:
    seen = result(*good(34), failed(ErrorKind.SERVER, status=500))

    assert judge_gate(seen, LEVEL).because == "1 of 35 requests failed"
    assert gate_figures(seen, LEVEL).endswith("; 1 failed")


def test_what_was_sent_to_warm_up_is_not_judged() -> None:
    cold = [one.model_copy(update={"due_s": 0.0, "is_warm_up": True}) for one in slow(20)]

    assert judge_gate(result(*cold, *good(34)), LEVEL).outcome is Outcome.HELD


def test_prompts_without_room_in_the_model_are_not_the_engines_fault() -> None:
    seen = result(*good(34), failed(ErrorKind.CLIENT, status=422))

    assert judge_gate(seen, LEVEL).outcome is Outcome.HELD
    assert gate_figures(seen, LEVEL).endswith("; none failed, 1 more were too long for the model")
    assert judge_gate(result(*good(34), failed(ErrorKind.CLIENT, status=401)), LEVEL).outcome is Outcome.MISSED


@pytest.mark.parametrize("records", [list(good(FEWEST - 1)), list(slow(FEWEST - 1)), []], ids=["good", "slow", "none"])
def test_a_handful_says_nothing(records: list[Record]) -> None:
    verdict = judge_gate(result(*records), LEVEL)

    assert verdict.outcome is Outcome.UNCLEAR
    assert verdict.because.startswith(f"{len(records)} requests are too few to judge by")


def test_a_slow_client_proves_no_engine_slow_and_any_engine_fast() -> None:
    assert judge_gate(result(*good(34), client="busy"), LEVEL).outcome is Outcome.HELD
    verdict = judge_gate(result(*good(34), *slow(), client="busy"), LEVEL)
    assert verdict.outcome is Outcome.UNCLEAR
    assert "what sent the requests was not fast enough itself: busy" in verdict.because


def test_most_requests_are_not_late_for_a_clock_that_is_late_now_and_then() -> None:
    assert judge_gate(result(*slow(34), client="its clock was late"), LEVEL).outcome is Outcome.MISSED
    assert judge_gate(result(*slow(34), client="it used all", cpu=0.99), LEVEL).outcome is Outcome.UNCLEAR


def test_answers_that_had_too_little_time_say_nothing() -> None:
    late = failed(ErrorKind.TIMEOUT, load=SHORT)

    verdict = judge_gate(result(*good(34, SHORT), late, load=SHORT), LEVEL)

    assert verdict.outcome is Outcome.UNCLEAR
    assert "1 of 35 requests had no whole answer within" in verdict.because
    assert judge_gate(result(*good(34), failed(ErrorKind.TIMEOUT)), LEVEL).outcome is Outcome.MISSED


def test_a_long_time_is_said_in_whole_milliseconds() -> None:
    records = [record(index, due_s=LOAD.warm_up_s, ttft_ms=1683.4, tpot_ms=4.567) for index in range(9)]

    assert "TTFT 1683 ms (at most 100), TPOT 4.57 ms (at most 10)" in gate_figures(result(*records), LEVEL)


def test_goodput_is_said_beside_its_target() -> None:
    level = LEVEL.model_copy(update={"goodput": 0.95})
    seen = result(*good(18), *slow(2), level=level)

    assert "goodput 90.0% (at least 95.0%)" in gate_figures(seen, level)


@pytest.mark.parametrize("left_s", [SHORTEST_S, 20.0, 40.0, 1000.0])
def test_a_load_is_over_in_the_time_that_is_left(left_s: float) -> None:
    load = gate_load(2, left_s)

    assert load.users == 8
    assert load.duration_s >= 3
    assert load.warm_up_s + load.duration_s + load.request_timeout_s <= left_s - 10
    assert is_cut_short(load) is (left_s < 82)


def test_where_nobody_waits_it_lasts_as_long_as_it_is_asked_to() -> None:
    assert (LOAD.warm_up_s, LOAD.duration_s, LOAD.request_timeout_s) == (2, 10, 60)
    assert gate_load(1, None, 300).duration_s == 300
