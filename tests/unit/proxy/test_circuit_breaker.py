import pytest

from scout_proxy.cache.circuit_breaker import CircuitBreaker


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(failures_until_open=3, first_rest_s=1, longest_rest_s=5, clock=clock)


def fail(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        breaker.fail()


def test_it_opens_after_failures_in_a_row(breaker: CircuitBreaker) -> None:
    fail(breaker, 2)
    breaker.succeed()
    fail(breaker, 2)
    before = breaker.is_open
    fail(breaker, 1)

    assert (before, breaker.is_open, breaker.rest_s) == (False, True, 1)


def test_a_success_closes_it(breaker: CircuitBreaker) -> None:
    fail(breaker, 3)
    breaker.succeed()

    assert (breaker.is_open, breaker.failures, breaker.rest_s) == (False, 0, 0)


def test_it_can_begin_open_with_a_probe_due(clock: Clock) -> None:
    breaker = CircuitBreaker(first_rest_s=1, clock=clock, is_open=True)
    before = (breaker.is_open, breaker.rest_s)
    breaker.fail()

    assert (before, breaker.rest_s) == ((True, 0), 1)


def test_each_failed_probe_doubles_the_rest_up_to_the_longest(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    rests = [breaker.rest_s]
    for _ in range(100):
        clock.now_s += breaker.rest_s
        breaker.fail()
        rests.append(breaker.rest_s)

    assert rests[:5] == [1, 2, 4, 5, 5]
    assert set(rests[5:]) == {5}


def test_a_rest_passes(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now_s += 0.75
    during = breaker.rest_s
    clock.now_s += 10

    assert (during, breaker.rest_s, breaker.is_open) == (0.25, 0, True)


def test_what_works_only_for_a_moment_is_looked_at_more_and_more_slowly(breaker: CircuitBreaker) -> None:
    rests = []
    for _ in range(4):
        fail(breaker, 3)
        rests.append(breaker.rest_s)
        breaker.succeed()

    assert rests == [1, 2, 4, 5]


def test_what_worked_for_a_while_is_trusted_again(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 6)
    breaker.succeed()
    clock.now_s += 5.1
    breaker.succeed()
    fail(breaker, 3)

    assert breaker.rest_s == 1
