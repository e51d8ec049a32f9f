import pytest

from scout_deploy.weights.progress import TransferRate


def rate(*samples: tuple[float, int], window_s: float = 10, stall_after_s: float = 30) -> TransferRate:
    transfer = TransferRate(window_s=window_s, stall_after_s=stall_after_s)
    for now_s, done_bytes in samples:
        transfer.add(now_s, done_bytes)
    return transfer


def test_one_moment_has_no_rate() -> None:
    assert rate().bytes_per_s is None
    assert rate((5, 100)).bytes_per_s is None
    assert rate((5, 100), (5, 200)).bytes_per_s is None


def test_what_was_there_before_does_not_count_as_fast() -> None:
    assert rate((0, 9_000), (2, 9_200)).bytes_per_s == 100


def test_the_rate_is_that_of_the_last_seconds() -> None:
    slow_then_fast = [(second, second * 10) for second in range(101)]
    slow_then_fast += [(100 + second, 1000 + second * 500) for second in range(1, 11)]

    assert rate(*slow_then_fast).bytes_per_s == pytest.approx(500)


def test_the_rate_spans_the_window_although_samples_are_rare() -> None:
    assert rate((0, 0), (60, 600), (120, 1200)).bytes_per_s == 10


def test_the_remaining_time_follows_from_the_rate() -> None:
    transfer = rate((0, 0), (10, 1_000))

    assert transfer.remaining_s(3_000) == 20
    assert transfer.remaining_s(500) == 0


def test_without_bytes_the_end_is_not_known() -> None:
    assert rate((0, 0)).remaining_s(10) is None
    assert rate((0, 7), (5, 7)).remaining_s(10) is None


def test_silence_becomes_a_stall_and_a_byte_ends_it() -> None:
    transfer = rate((0, 0), (1, 10), (20, 10))

    assert transfer.silent_s(20) == 19
    assert not transfer.is_stalled(30.9)
    assert transfer.is_stalled(31)
    transfer.add(40, 11)
    assert not transfer.is_stalled(40)


def test_a_transfer_that_never_begins_stalls_too() -> None:
    transfer = rate((100, 0))

    assert not transfer.is_stalled(129)
    assert transfer.is_stalled(130)


def test_nothing_heard_yet_is_no_stall() -> None:
    assert not rate().is_stalled(1_000)
