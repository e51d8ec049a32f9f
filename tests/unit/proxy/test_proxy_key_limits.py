import pytest

from fakes.api_keys import ALICE, BOB, api_key, api_keys
from scout_proxy.access.gate_errors import KeyLimitError
from scout_proxy.access.key_limits import KeyLimits
from scout_proxy.route_table import Keys


class Clock:
    """A clock that is set by the test."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def alice_only(**limits: float | None) -> Keys:
    return api_keys(api_key("alice", ALICE, **limits))


def refusal(limits: KeyLimits, key_id: str = "alice") -> KeyLimitError:
    with pytest.raises(KeyLimitError) as caught:
        limits.begin(key_id)
    return caught.value


def do(limits: KeyLimits, requests: int) -> None:
    for _ in range(requests):
        limits.begin("alice")
        limits.end("alice")


def test_a_key_without_limits_is_only_counted(clock: Clock) -> None:
    limits = KeyLimits(api_keys(), clock)

    for _ in range(10_000):
        limits.begin("alice")

    assert limits.in_flight("alice") == 10_000
    assert limits.in_flight("bob") == 0


def test_a_minute_has_as_many_requests_as_the_limit_says(clock: Clock) -> None:
    limits = KeyLimits(alice_only(requests_per_minute=30), clock)
    do(limits, 30)

    error = refusal(limits)

    assert error.message == (
        "API key 'alice' is at its limit of 30 requests per minute; try again after the seconds in Retry-After"
    )
    assert error.headers == {"Retry-After": "2"}


def test_the_time_in_retry_after_is_enough(clock: Clock) -> None:
    limits = KeyLimits(alice_only(requests_per_minute=7), clock)
    do(limits, 7)

    clock.now_s += float(refusal(limits).headers["Retry-After"])

    do(limits, 1)
    refusal(limits)


def test_a_steady_client_at_the_limit_is_never_refused(clock: Clock) -> None:
    limits = KeyLimits(alice_only(requests_per_minute=60), clock)

    for _ in range(1_000):
        do(limits, 1)
        clock.now_s += 1


def test_over_a_long_time_the_limit_is_kept(clock: Clock) -> None:
    limits = KeyLimits(alice_only(requests_per_minute=60), clock)
    passed = 0

    for _ in range(36_000):
        clock.now_s += 0.1
        try:
            do(limits, 1)
        except KeyLimitError:
            continue
        passed += 1

    assert passed == pytest.approx(60 * 60 + 60, abs=1)


def test_less_than_one_request_a_minute_can_be_said(clock: Clock) -> None:
    limits = KeyLimits(alice_only(requests_per_minute=0.5), clock)
    do(limits, 1)

    assert refusal(limits).headers == {"Retry-After": "120"}


def test_no_more_at_once_than_the_limit(clock: Clock) -> None:
    limits = KeyLimits(alice_only(max_concurrent=2), clock)
    limits.begin("alice")
    limits.begin("alice")

    assert "its limit of 2 requests at once" in refusal(limits).message
    limits.end("alice")
    limits.begin("alice")


def test_retry_after_of_places_is_learnt_from_how_long_they_were_taken(clock: Clock) -> None:
    limits = KeyLimits(alice_only(max_concurrent=1), clock)
    for _ in range(20):
        limits.begin("alice")
        clock.now_s += 10
        limits.end("alice")
    limits.begin("alice")

    assert refusal(limits).headers == {"Retry-After": "10"}
    clock.now_s += 6
    assert refusal(limits).headers == {"Retry-After": "4"}
    clock.now_s += 60
    assert refusal(limits).headers == {"Retry-After": "1"}


def test_a_refused_request_takes_nothing(clock: Clock) -> None:
    limits = KeyLimits(alice_only(requests_per_minute=2, max_concurrent=1), clock)
    limits.begin("alice")
    for _ in range(10):
        refusal(limits)
    limits.end("alice")

    do(limits, 1)
    assert "per minute" in refusal(limits).message


def test_keys_do_not_share_their_limits(clock: Clock) -> None:
    limits = KeyLimits(
        api_keys(api_key("alice", ALICE, max_concurrent=1), api_key("bob", BOB, max_concurrent=1)), clock
    )
    limits.begin("alice")

    limits.begin("bob")


def test_what_is_in_flight_outlives_a_new_table(clock: Clock) -> None:
    limits = KeyLimits(api_keys(), clock)
    for _ in range(3):
        limits.begin("alice")

    limits.apply(alice_only(max_concurrent=3))

    refusal(limits)
    limits.end("alice")
    limits.begin("alice")


def test_what_is_left_of_a_minute_outlives_a_new_table(clock: Clock) -> None:
    limits = KeyLimits(alice_only(requests_per_minute=60), clock)
    do(limits, 60)

    limits.apply(alice_only(requests_per_minute=60))
    refusal(limits)

    limits.apply(alice_only(requests_per_minute=6))
    assert refusal(limits).headers == {"Retry-After": "10"}


def test_a_key_that_comes_back_finds_its_requests_in_flight(clock: Clock) -> None:
    limits = KeyLimits(alice_only(max_concurrent=1), clock)
    limits.begin("alice")
    limits.apply(None)
    limits.apply(alice_only(max_concurrent=1))

    refusal(limits)
    limits.end("alice")
    limits.begin("alice")


def test_the_requests_of_a_removed_key_end_in_peace(clock: Clock) -> None:
    limits = KeyLimits(alice_only(max_concurrent=1), clock)
    limits.begin("alice")
    limits.apply(api_keys(api_key("bob", BOB)))
    limits.end("alice")
    limits.apply(api_keys(api_key("bob", BOB)))

    assert limits.in_flight("alice") == 0
