import pytest

from scout_proxy.upstreams.service_rate import ServiceRate


def measured(*ends_s: float) -> ServiceRate:
    rate = ServiceRate()
    for end_s in ends_s:
        rate.note(end_s)
    return rate


@pytest.mark.parametrize("ends_s", [(), (5.0,)])
def test_without_a_figure_a_second_is_said(ends_s: tuple[float, ...]) -> None:
    assert measured(*ends_s).seconds_for(100, 7.0) == 1


def test_so_many_more_take_so_many_times_as_long() -> None:
    assert measured(10, 12, 14, 16).seconds_for(5, 16) == 10


def test_only_what_came_last_counts() -> None:
    rate = measured(*range(0, 1000, 10), *[1000 + index / 10 for index in range(65)])

    assert rate.seconds_for(10, 1006.4) == pytest.approx(1)


def test_times_without_a_waiter_say_nothing() -> None:
    rate = measured(0, 1, 2)
    rate.rest()
    rate.note(3600)
    rate.note(3601)

    assert rate.seconds_for(10, 3601) == pytest.approx(10)


def test_engines_that_stand_still_are_seen_to() -> None:
    rate = measured(0, 1, 2, 3)

    assert rate.seconds_for(10, 3 + 37) == pytest.approx(100)


def test_nobody_is_sent_away_for_longer_than_ten_minutes() -> None:
    assert measured(0, 100).seconds_for(1000, 100) == 600
