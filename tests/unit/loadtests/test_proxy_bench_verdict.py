"""Which windows count, and what a goal comes to when some do not."""

from collections.abc import Sequence

import pytest

from proxy_bench.report import as_json, markdown, page, shortfall
from proxy_bench.verdict import Section, Verdict, at_least_ratio, at_most
from proxy_bench.window import Series, Usage, Window

QUIET = Usage(server=1.0, load=0.6, others=0.0, server_core=1.0, load_core=0.6)
SATURATED = Usage(server=0.7, load=0.97, others=0.0, server_core=0.7, load_core=0.97)
BOTH_FULL = Usage(server=0.97, load=0.97, others=0.0, server_core=0.98, load_core=0.98)


def series(name: str, values: Sequence[float], usages: Sequence[Usage] = ()) -> Series:
    usages = usages or [QUIET] * len(values)
    windows = [Window(value=value, usage=usage) for value, usage in zip(values, usages, strict=True)]
    return Series(server=name, unit="requests/s", windows=windows)


@pytest.mark.parametrize(("usage", "is_void"), [(QUIET, False), (SATURATED, True), (BOTH_FULL, False)])
def test_a_window_is_void_where_only_the_generators_core_was_busy(usage: Usage, is_void: bool) -> None:
    assert usage.is_void is is_void


def test_void_windows_do_not_count() -> None:
    some = series("a", [10, 20, 30, 1000], [QUIET, QUIET, QUIET, SATURATED])

    assert some.value == 20
    assert some.spread == (10, 30)
    assert not some.is_void


def test_a_series_is_void_where_most_windows_are() -> None:
    assert series("a", [10, 20, 30], [SATURATED, SATURATED, QUIET]).is_void


@pytest.mark.parametrize(
    ("ours", "theirs", "is_met"),
    [
        (QUIET, QUIET, True),
        (SATURATED, QUIET, True),
        (QUIET, SATURATED, None),
        (SATURATED, SATURATED, None),
    ],
)
def test_a_ratio_that_reaches_its_goal_counts_unless_the_other_may_be_faster(
    ours: Usage, theirs: Usage, is_met: bool | None
) -> None:
    verdict = at_least_ratio("hit", series("scout", [60], [ours]), series("nginx", [100], [theirs]), 0.5)

    assert verdict.is_met is is_met
    assert verdict.value == "0.600"


@pytest.mark.parametrize(
    ("ours", "theirs", "is_met"),
    [
        (QUIET, QUIET, False),
        (SATURATED, QUIET, None),
        (QUIET, SATURATED, False),
        (SATURATED, SATURATED, None),
    ],
)
def test_a_ratio_that_misses_its_goal_counts_unless_ours_may_be_faster(
    ours: Usage, theirs: Usage, is_met: bool | None
) -> None:
    verdict = at_least_ratio("hit", series("scout", [40], [ours]), series("nginx", [100], [theirs]), 0.5)

    assert verdict.is_met is is_met


def test_an_upper_bound_is_met_up_to_it_and_void_is_neither() -> None:
    assert at_most("p50", 0.05, 0.05, "ms").is_met is True
    assert at_most("p50", 0.051, 0.05, "ms").is_met is False
    assert at_most("p50", 0.01, 0.05, "ms", void="too late").is_met is None


def test_the_report_has_each_goal_and_series_and_says_what_falls_short() -> None:
    verdicts = (
        Verdict(what="hit", goal="at least 0.5 of nginx", value="0.6", is_met=True),
        Verdict(what="miss", goal="at least 5 times app", value="4.0", is_met=False),
        Verdict(what="lite", goal="at least 40 times LiteLLM", value="-", is_met=None, note="it is not installed"),
    )
    section = Section(key="hit", title="Cache hits", verdicts=verdicts, series=(series("scout", [10, 30, 20]),))

    text = markdown([section], {"kernel": "Linux"})

    assert "| miss | at least 5 times app | 4.0 | **not met** |  |" in text
    assert "1 of 3 goals were met." in text
    assert "- miss: 4.0, the goal is at least 5 times app" in text
    assert "- lite (at least 40 times LiteLLM): it is not installed" in text
    assert "| scout | 20 requests/s | 10 to 30 |  | 100% | 60% | 0% |  |" in text
    assert "- kernel: Linux" in text
    assert '"is_met": false' in as_json([section], {})
    assert page([section], {"kernel": "Linux"}).endswith(text)


def test_nothing_falls_short_where_all_is_met() -> None:
    assert shortfall([Verdict(what="a", goal="b", value="c", is_met=True)]) == "1 of 1 goals were met."
