"""Figures from records, each by hand."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scout_loadtest.client_health import judge
from scout_loadtest.figures import Figures, Targets
from scout_loadtest.figures_of import figures_of
from scout_loadtest.load.watch import late_looks
from scout_loadtest.record import ErrorKind, Record
from scout_loadtest.spread import percentile, spread_of
from scout_loadtest.step import Arrival, Load

LOAD = Load(arrival=Arrival.CONSTANT, rate=1, warm_up_s=10, duration_s=20, mix={"chat": 1})


def record(due_s: float, **changes: Any) -> Record:
    """A stream of 11 tokens: 0.2 s to the first, 0.1 s for each other, sent 50 ms late."""
    streamed: dict[str, Any] = {
        "index": 0,
        "kind": "chat",
        "due_s": due_s,
        "sent_s": due_s + 0.05,
        "first_token_s": due_s + 0.2,
        "last_token_s": due_s + 1.2,
        "ended_s": due_s + 1.25,
        "status": 200,
        "output_tokens": 11,
        "input_tokens": 5,
        "gaps_ms": (100.0,) * 10,
        "is_warm_up": due_s < LOAD.warm_up_s,
    }
    return Record(**(streamed | changes))


def figures(*records: Record, **options: Any) -> Figures:
    return figures_of(records, **({"load": LOAD, "targets": Targets()} | options))


def test_latency_counts_from_when_a_request_was_due() -> None:
    found = figures(record(12))

    assert found.ttft_ms is not None
    assert found.tpot_ms is not None
    assert found.e2e_ms is not None
    assert found.gap_ms is not None
    assert found.ttft_ms.p50 == pytest.approx(200)
    assert found.tpot_ms.p50 == pytest.approx(100)
    assert found.e2e_ms.p50 == pytest.approx(1250)
    assert (found.gap_ms.count, found.gap_ms.p99) == (10, 100)


def test_the_warm_up_is_left_out_of_latency_and_its_answers_are_throughput_of_the_measured_time() -> None:
    found = figures(record(9), record(12), record(29))

    assert (found.requests, found.succeeded, found.offered_per_s) == (2, 2, 2 / 20)
    # The first ended in the measured time and the last after it.
    assert found.answered_per_s == 2 / 20
    # Of the first 0.2 s of 1 s, of the last 0.8 s of 1 s.
    assert found.output_tokens_per_s == pytest.approx(11 * (0.2 + 1 + 0.8) / 20)


def test_tokens_of_several_sequences_are_timed_for_one() -> None:
    found = figures(record(12, output_tokens=22, sequences=2))

    assert found.tpot_ms is not None
    assert found.tpot_ms.p50 == pytest.approx(100)


def test_failures_are_counted_by_kind_and_are_no_latency() -> None:
    late = record(13, error=ErrorKind.TIMEOUT, ended_s=25, output_tokens=None)
    found = figures(record(12), late, late, record(9, error=ErrorKind.SERVER), targets=Targets(e2e_ms=10_000))

    assert found.errors == {"timeout": 2}
    assert (found.requests, found.succeeded, found.goodput) == (3, 1, 1 / 3)
    assert found.e2e_ms is not None
    assert found.e2e_ms.count == 1


@pytest.mark.parametrize(
    ("targets", "goodput"),
    [
        (Targets(), None),
        (Targets(ttft_ms=201), 1.0),
        (Targets(ttft_ms=199), 0.5),
        (Targets(tpot_ms=99), 0.5),
        (Targets(e2e_ms=1240), 0.5),
        (Targets(ttft_ms=201, tpot_ms=101, e2e_ms=1260), 1.0),
    ],
)
def test_a_target_binds_the_requests_that_have_its_quantity(targets: Targets, goodput: float | None) -> None:
    whole = record(14, ended_s=14.5, first_token_s=None, last_token_s=None, output_tokens=None, gaps_ms=())

    assert figures(record(12), whole, targets=targets).goodput == goodput


def test_hits_are_a_share_of_those_that_say_it() -> None:
    assert figures(record(12)).hit_rate is None
    assert figures(record(12), *(record(13, cache=said) for said in ("HIT", "MISS", "BYPASS", "HIT"))).hit_rate == 0.5


def test_answers_whose_tokens_nobody_counted_are_told() -> None:
    found = figures(record(12), record(13, output_tokens=None))

    assert (found.output_tokens, found.uncounted) == (11, 1)


def test_an_interrupted_load_is_measured_until_then() -> None:
    found = figures(record(12), record(13), ended_early_s=15)

    assert (found.measured_s, found.offered_per_s) == (5, 2 / 5)
    assert figures(ended_early_s=3).measured_s == 0


def test_nothing_at_all_has_no_distributions() -> None:
    found = figures()

    assert (found.requests, found.ttft_ms, found.goodput, found.hit_rate, found.errors) == (0, None, None, None, {})


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300), st.sampled_from([0.1, 50, 90, 99, 99.9, 100]))
@settings(max_examples=40)
def test_a_percentile_is_the_smallest_value_that_covers_its_share(values: list[float], percent: float) -> None:
    found = percentile(sorted(values), percent)
    covered = [sum(other <= value for other in values) for value in sorted(set(values)) if value <= found]

    assert found in values
    assert covered[-1] * 100 >= percent * len(values) - 1e-6
    assert all(count * 100 < percent * len(values) + 1e-6 for count in covered[:-1])


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
@settings(max_examples=25)
def test_a_spread_is_in_order_whatever_the_order_of_its_values(values: list[float]) -> None:
    spread = spread_of(values)

    assert spread is not None
    assert spread == spread_of(values[::-1])
    assert min(values) <= spread.p50 <= spread.p90 <= spread.p95 <= spread.p99 <= spread.max == max(values)
    assert math.isclose(spread.mean, sum(values) / len(values), abs_tol=1e-6, rel_tol=1e-9)


def test_a_client_that_kept_up_is_not_blamed() -> None:
    assert judge(cpu=0.5, late_ms=[1.0] * 100, loop_late_ms=[1.0] * 100).reason is None


def test_a_clock_that_stood_still_was_late_for_all_of_that_time() -> None:
    looks = [0.1] * 600

    assert list(late_looks(0.1, 50)) == [0.1]
    assert list(late_looks(120, 50)) == [120, 70, 20]
    assert judge(cpu=0.1, late_ms=None, loop_late_ms=[*looks, *late_looks(200, 50)]).reason is None
    assert "its clock was" in str(judge(cpu=0.1, late_ms=None, loop_late_ms=[*looks, *late_looks(2000, 50)]).reason)


def test_a_client_that_did_not_says_why() -> None:
    health = judge(cpu=0.97, late_ms=[1.0] * 98 + [80.0] * 2, loop_late_ms=[60.0])

    assert health.late_p99_ms == 80
    assert health.reason == (
        "it used 97% of its one processor (the bound is 85%); one request in a hundred was sent 80 ms late "
        "(the bound is 50); its clock was 60 ms late (the bound is 50)"
    )
    assert judge(cpu=0.1, late_ms=None, loop_late_ms=[]).late_p99_ms is None
