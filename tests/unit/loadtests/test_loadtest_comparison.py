"""Comparing runs: what is called a difference, what is not, and what is refused."""

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest

from fakes.bench_runs import SUBJECT, TARGETS, load
from scout_loadtest.bench_run import BenchRun, Step
from scout_loadtest.comparable import NotComparableError
from scout_loadtest.comparison import Comparison, compare
from scout_loadtest.difference import Difference, Finding
from scout_loadtest.figures import Figures, Spread, Targets
from scout_loadtest.step import ClientHealth, Load, StepResult

CURVE = (load(users=4), load(users=8))


def run(
    id: str,
    *,
    latency: float = 1.0,
    random: Random | None = None,
    loads: Sequence[Load] = CURVE,
    purpose: str = "curve",
    failed: int = 0,
    highest_rate: float | None = None,
    saturated: str | None = None,
) -> BenchRun:
    """Figures alone: no request is needed to compare."""

    def noise() -> float:
        return random.gauss(1, 0.03) if random else 1.0

    def around(ms: float) -> Spread:
        low, high = ms * noise() * latency, 3 * ms * noise() * latency
        return Spread(count=200, mean=low, p50=low, p90=high, p95=high, p99=high, max=high)

    def figures() -> Figures:
        return Figures(
            measured_s=30,
            requests=200,
            succeeded=200 - failed,
            offered_per_s=200 / 30,
            answered_per_s=(200 - failed) / 30 * noise(),
            ttft_ms=around(60),
            tpot_ms=around(12),
            gap_ms=around(12),
            e2e_ms=around(800),
            input_tokens=9000,
            output_tokens=9000,
            output_tokens_per_s=300 * noise() / latency,
            goodput=(200 - failed) / 200,
            errors={"timeout": failed} if failed else {},
        )

    steps = tuple(
        Step(
            purpose=purpose,
            starts_s=40.0 * at,
            result=StepResult(
                load=each,
                targets=TARGETS,
                began_at=0,
                took_s=31,
                records=(),
                figures=figures(),
                client=ClientHealth(cpu=0.1, reason=saturated),
            ),
        )
        for at, each in enumerate(loads)
    )
    return BenchRun(
        id=id,
        began_at=0,
        took_s=80,
        version="1",
        machine="one",
        subject=SUBJECT,
        targets=TARGETS,
        seed=7,
        steps=steps,
        timeline=(),
        highest_rate=highest_rate,
    )


def runs(
    name: str, count: int, random: Random | None = None, latency: float = 1.0, **options: object
) -> list[BenchRun]:
    return [run(f"{name}{at}", latency=latency, random=random, **options) for at in range(count)]  # type: ignore[arg-type]


def found(comparison: Comparison, figure: str) -> Difference:
    return next(difference for difference in comparison.differences if difference.figure == figure)


def test_what_is_slower_is_worse_and_says_by_how_much() -> None:
    random = Random(1)  # noqa: S311 - the same in every run
    comparison = compare(runs("a", 5, random), runs("b", 5, random, latency=1.3))

    ttft = found(comparison, "TTFT p50")
    assert ttft.finding is Finding.WORSE
    assert ttft.change == pytest.approx(18, rel=0.2)
    assert ttft.interval is not None
    assert 0 < ttft.interval.low < 18 < ttft.interval.high
    assert found(comparison, "output tokens").finding is Finding.WORSE
    assert comparison.finding is Finding.WORSE


def test_what_is_faster_is_better_and_the_rest_is_left_alone() -> None:
    random = Random(2)  # noqa: S311 - the same in every run
    comparison = compare(runs("a", 5, random), runs("b", 5, random, latency=0.7))

    assert found(comparison, "TTFT p99").finding is Finding.BETTER
    assert found(comparison, "output tokens").finding is Finding.BETTER
    assert found(comparison, "answered").finding is Finding.NO_DIFFERENCE
    assert found(comparison, "errors").finding is Finding.NO_DIFFERENCE
    assert comparison.finding is Finding.BETTER


def test_every_load_and_figure_has_its_row() -> None:
    comparison = compare(runs("a", 2), runs("b", 2))

    rows = [(row.load.users, row.figure) for row in comparison.differences if row.load]
    assert len(rows) == len(set(rows)) == 22
    assert {users for users, _ in rows} == {4, 8}


def test_runs_of_the_same_server_are_rarely_called_different() -> None:
    random = Random(20261127)  # noqa: S311 - the same in every run
    called = sum(
        compare(runs("a", 4, random), runs("b", 4, random)).finding is not Finding.NO_DIFFERENCE for _ in range(60)
    )

    # Three would be 5 %, and the practical threshold makes it fewer. Without a rule for many figures it is most.
    assert called <= 5


def test_a_sure_change_that_is_too_small_to_matter_is_none() -> None:
    comparison = compare(runs("a", 3), runs("b", 3, latency=1.04))

    ttft = found(comparison, "TTFT p50")
    assert ttft.finding is Finding.NO_DIFFERENCE
    assert ttft.because == "the change is sure, but too small to matter"


def test_one_run_a_side_says_nothing_and_says_so() -> None:
    comparison = compare(runs("a", 1), runs("b", 1, latency=9))

    assert {row.finding for row in comparison.differences} == {Finding.TOO_FEW}
    assert comparison.finding is Finding.TOO_FEW
    assert "No statement is possible: A has 1 run and B 1 run." in comparison.notes[0]
    assert "three to five" in comparison.notes[0]


def test_noise_that_hides_a_change_is_told_with_how_many_runs_would_show_it() -> None:
    a = [run(f"a{at}", latency=latency) for at, latency in enumerate([0.9, 1.0, 1.1])]
    b = [run(f"b{at}", latency=latency) for at, latency in enumerate([0.95, 1.05, 1.15])]

    ttft = found(compare(a, b), "TTFT p50")
    assert ttft.finding is Finding.NO_DIFFERENCE
    assert ttft.because == "the interval contains zero"
    assert ttft.runs_advised is not None
    assert ttft.runs_advised > 10


def test_a_single_failed_request_is_no_difference_and_many_are() -> None:
    few = found(compare(runs("a", 3), runs("b", 3, failed=1)), "errors")
    many = found(compare(runs("a", 3), runs("b", 3, failed=20)), "errors")

    assert few.finding is Finding.NO_DIFFERENCE
    assert many.finding is Finding.WORSE
    assert many.change == pytest.approx(0.1)


def test_the_highest_rate_is_compared_over_whole_runs() -> None:
    a = [run(f"a{at}", highest_rate=rate) for at, rate in enumerate([8.0, 8.1, 7.9])]
    b = [run(f"b{at}", highest_rate=rate) for at, rate in enumerate([5.0, 5.2, 5.1])]

    rate = found(compare(a, b), "highest rate")
    assert (rate.load, rate.finding) == (None, Finding.WORSE)


def test_a_search_is_no_surer_than_its_last_bracket() -> None:
    def searched(id: str, rate: float) -> BenchRun:
        return run(id, highest_rate=rate).model_copy(update={"lowest_failed_rate": rate + 2})

    comparison = compare([searched("a1", 8), searched("a2", 8)], [searched("b1", 7), searched("b2", 7)])

    assert found(comparison, "highest rate").finding is Finding.NO_DIFFERENCE


def test_a_rate_that_held_on_one_side_alone_is_a_difference_only_where_that_happened_again_and_again() -> None:
    def tried(id: str, *, held: bool) -> BenchRun:
        return run(id, highest_rate=5 if held else None).model_copy(update={"lowest_failed_rate": None if held else 5})

    def finding(count: int) -> Finding:
        a = [tried(f"a{at}", held=True) for at in range(count)]
        b = [tried(f"b{at}", held=False) for at in range(count)]
        return found(compare(a, b), "highest rate").finding

    assert (finding(2), finding(8)) == (Finding.NO_DIFFERENCE, Finding.WORSE)


def test_a_saturated_client_says_nothing_of_the_server() -> None:
    comparison = compare(runs("a", 2), runs("b", 2, saturated="it used a whole processor"))

    assert {row.finding for row in comparison.differences} == {Finding.TOO_FEW}
    assert any("saturated: 4 users, 8 users" in note for note in comparison.notes)


def test_only_rates_that_every_search_tried_are_compared() -> None:
    def searched(id: str, *rates: float) -> BenchRun:
        return run(id, loads=[load(rate=rate) for rate in rates], purpose="search")

    comparison = compare(
        [searched("a1", 2, 4, 3), searched("a2", 2, 4, 5)], [searched("b1", 2, 4), searched("b2", 4, 2)]
    )

    assert {row.load.rate for row in comparison.differences if row.load} == {2, 4}


def change(**update: object) -> Callable[[BenchRun], BenchRun]:
    return lambda one: one.model_copy(update=update)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (change(seed=8), "The seeds differ: run a0 has 7, run b0 has 8"),
        (change(targets=Targets(ttft_ms=9)), "run a0 has TTFT ≤ 500 ms, TPOT ≤ 50 ms, run b0 has TTFT ≤ 9 ms"),
        (change(goodput_target=0.9), "The goodput targets differ: run a0 has None, run b0 has 0.9"),
        (change(percentile=95.0), "run a0 has 99.0, run b0 has 95.0"),
        (change(id="a0"), "Run a0 is on both sides"),
        (change(interrupted="Ctrl-C"), "Run b0 ended before its time (Ctrl-C)"),
        (lambda _: run("b0", loads=[load(users=4)]), "for 30 s after 3 s of chat 2"),
        (lambda _: run("b0", loads=[load(users=4), load(users=8, duration_s=9)]), "8 users for 9 s"),
    ],
)
def test_runs_that_were_not_asked_the_same_are_refused(changed: Callable[[BenchRun], BenchRun], said: str) -> None:
    with pytest.raises(NotComparableError) as refused:
        compare(runs("a", 2), [changed(run("b0"))])

    assert said in refused.value.message
    assert refused.value.next_step


def test_a_data_file_is_the_same_by_what_is_in_it_and_not_by_where_it_lies() -> None:
    def of(id: str, path: str, sha256: str) -> BenchRun:
        return run(id, loads=[CURVE[0].model_copy(update={"data": Path(path), "data_sha256": sha256})])

    a, moved, edited = of("a", "/one/mine.jsonl", "ab" * 32), of("b", "/two/mine.jsonl", "ab" * 32), "cd" * 32

    assert {one.figure for one in compare([a], [moved]).differences} >= {"TTFT p99", "goodput"}
    with pytest.raises(NotComparableError, match=r"from data with the SHA-256 abababababab .*SHA-256 cdcdcdcdcdcd "):
        compare([a], [of("b", "/one/mine.jsonl", edited)])


def test_a_side_without_a_run_is_refused() -> None:
    with pytest.raises(NotComparableError, match="B has no run"):
        compare(runs("a", 1), [])


def test_other_machines_are_compared_with_a_word_of_warning() -> None:
    other = [change(machine="two")(one) for one in runs("b", 3)]

    assert any("machines differ (one; two)" in note for note in compare(runs("a", 3), other).notes)


def test_a_comparison_survives_json() -> None:
    comparison = compare(runs("a", 2), runs("b", 2, failed=3))

    assert Comparison.model_validate_json(comparison.model_dump_json()) == comparison
