from scout_deploy.backoff import Backoff


def test_first_death_costs_no_delay_and_later_ones_grow_up_to_the_cap() -> None:
    backoff = Backoff(first_s=1.0, cap_s=30.0, attempts=10)

    delays = [backoff.delay_s(deaths) for deaths in range(1, 10)]

    assert delays == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_gives_up_after_the_last_attempt() -> None:
    assert Backoff(attempts=3).delay_s(3) is None


def test_a_long_service_forgets_earlier_deaths() -> None:
    backoff = Backoff(healthy_after_s=60.0)

    assert backoff.deaths_in_a_row(4, served_s=59.9) == 5
    assert backoff.deaths_in_a_row(4, served_s=60.0) == 1
