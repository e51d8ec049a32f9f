"""The search for the highest rate, against services whose limit is known."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scout_deploy.bench.rate_search import RateSearch, SearchRules
from scout_deploy.bench.service_level import Outcome

Try = Callable[[float], Outcome]


def searched(rules: SearchRules, attempt: Try) -> tuple[RateSearch, list[float]]:
    search, tried = RateSearch(rules=rules), []
    while (rate := search.next_rate) is not None:
        tried.append(rate)
        search = search.after(rate, attempt(rate))
    return search, tried


def limited_to(capacity: float) -> Try:
    return lambda rate: Outcome.HELD if rate <= capacity else Outcome.MISSED


@given(capacity=st.floats(0.3, 500), start=st.floats(0.3, 200))
def test_a_steady_service_is_found_within_the_precision_from_wherever_the_search_begins(
    capacity: float, start: float
) -> None:
    rules = SearchRules(start=start, precision=0.05, max_tries=60, misses_needed=1)

    search, _ = searched(rules, limited_to(capacity))

    assert search.held is not None
    assert search.held <= capacity
    assert search.missed is not None
    assert capacity < search.missed <= search.held * 1.0501


def test_the_ramp_doubles_and_then_halves_the_interval() -> None:
    _, tried = searched(SearchRules(start=2.0, precision=0.2, misses_needed=1), limited_to(11.0))

    assert [round(rate, 2) for rate in tried] == [2.0, 4.0, 8.0, 16.0, 11.31, 9.51]


def test_a_rate_that_was_missed_by_accident_is_tried_again() -> None:
    missed_once: set[float] = set()

    def attempt(rate: float) -> Outcome:
        if rate == 4.0 and rate not in missed_once:
            missed_once.add(rate)
            return Outcome.MISSED
        return limited_to(10.0)(rate)

    search, tried = searched(SearchRules(start=2.0, precision=0.1), attempt)

    assert tried[1:3] == [4.0, 4.0]
    assert search.held is not None
    assert 9.0 < search.held <= 10.0


@pytest.mark.parametrize("seed", range(20))
def test_a_service_with_noise_is_found_near_its_limit(seed: int) -> None:
    # Near the limit a try may go either way; one in twenty misses for no reason at all.
    dice = random.Random(seed)  # noqa: S311

    def attempt(rate: float) -> Outcome:
        if dice.random() < 0.05:
            return Outcome.MISSED
        return limited_to(20.0 * dice.uniform(0.93, 1.07))(rate)

    search, tried = searched(SearchRules(start=3.0, precision=0.05, max_tries=24), attempt)

    assert search.held is not None
    assert 17.0 < search.held < 21.5
    assert len(tried) <= 24


def test_nothing_is_asked_beyond_what_the_client_can_offer() -> None:
    def attempt(rate: float) -> Outcome:
        return Outcome.UNCLEAR if rate > 30.0 else Outcome.HELD

    search, tried = searched(SearchRules(start=4.0, precision=0.1), attempt)

    assert search.missed is None
    assert search.is_limited_by_client
    assert search.held is not None
    assert 27.0 < search.held <= 30.0
    assert max(tried) == 32.0


def test_a_service_that_holds_nothing_ends_the_search_at_the_floor() -> None:
    search, tried = searched(SearchRules(start=4.0, floor=0.9, misses_needed=1), lambda _: Outcome.MISSED)

    assert (search.held, search.missed) == (None, 0.9)
    assert tried == [4.0, 2.0, 1.0, 0.9]


def test_the_search_ends_after_its_tries_with_what_is_known() -> None:
    search, tried = searched(SearchRules(start=1.0, max_tries=3), limited_to(1000.0))

    assert (tried, search.held, search.missed) == ([1.0, 2.0, 4.0], 4.0, None)
