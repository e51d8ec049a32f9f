"""The statistics behind a comparison, against what tables and arithmetic say."""

from random import Random

import pytest

from scout_loadtest.difference import least_significant, runs_to_see, welch
from scout_loadtest.student import two_sided_p, two_sided_quantile


@pytest.mark.parametrize(
    ("confidence", "degrees", "expected"),
    [
        (0.95, 1, 12.7062),
        (0.95, 2, 4.30265),
        (0.95, 4, 2.77645),
        (0.99, 10, 3.16927),
        (0.95, 30, 2.04227),
        (0.95, 1e6, 1.95997),
    ],
)
def test_quantiles_are_those_of_the_tables(confidence: float, degrees: float, expected: float) -> None:
    assert two_sided_quantile(confidence, degrees) == pytest.approx(expected, rel=1e-5)
    assert two_sided_p(expected, degrees) == pytest.approx(1 - confidence, rel=1e-4)


def test_a_welch_interval_worked_out_by_hand() -> None:
    # Means 12 and 15, variances 1 and 4, three values each: error sqrt(5/3), degrees (5/3)^2 / ((1/9 + 16/9) / 2).
    interval = welch([11, 12, 13], [13, 15, 17])

    reach = two_sided_quantile(0.95, 50 / 17) * (5 / 3) ** 0.5
    assert (interval.low, interval.high) == pytest.approx((3 - reach, 3 + reach))
    assert interval.p == pytest.approx(two_sided_p(3 / (5 / 3) ** 0.5, 50 / 17))
    assert interval.low < 0 < interval.high


def test_equal_values_are_no_surer_than_they_can_be_known() -> None:
    exact = welch([0.0, 0.0], [0.01, 0.01])
    of_a_hundred_requests = welch([0.0, 0.0], [0.01, 0.01], resolution=0.01)

    assert (exact.low, exact.high, exact.p) == (0.01, 0.01, 0.0)
    assert of_a_hundred_requests.low < 0 < of_a_hundred_requests.high
    assert welch([5.0, 5.0], [5.0, 5.0]).p == 1.0


def test_an_interval_holds_the_truth_nineteen_times_of_twenty() -> None:
    random = Random(20261127)  # noqa: S311 - the same in every run
    misses = 0
    for _ in range(300):
        interval = welch([random.gauss(100, 5) for _ in range(3)], [random.gauss(110, 12) for _ in range(5)])
        misses += not interval.low <= 10 <= interval.high

    assert 5 <= misses <= 27


def test_benjamini_and_hochberg_by_hand() -> None:
    # Bounds of five at 5 %: 0.01, 0.02, 0.03, 0.04, 0.05. The third passes and takes the second with it.
    assert least_significant([0.9, 0.028, 0.001, 0.025, 0.3], 0.05) == 0.028
    assert least_significant([0.2, 0.9], 0.05) < 0
    assert least_significant([], 0.05) < 0


def test_more_runs_are_advised_the_more_they_vary() -> None:
    steady, wild = [100.0, 101.0, 102.0], [80.0, 100.0, 120.0]

    few, many = runs_to_see(5, steady, steady), runs_to_see(5, wild, wild)
    assert few is not None
    assert many is None or many > 10 * few
    assert runs_to_see(30, wild, wild) == 5
