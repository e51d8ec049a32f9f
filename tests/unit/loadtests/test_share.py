"""How the requests of one run are shared out between workers."""

from itertools import islice

from scout_loadtest.load.share import Share, share_of

# As Locust numbers them over several runs: one that is gone leaves a gap.
WORKERS = ["a", "c", "d"]


def first_numbers(share: Share) -> list[int]:
    return list(islice(share.numbers(), 4))


def test_workers_send_all_of_it_and_nothing_twice() -> None:
    shares = [share_of(worker, index, WORKERS) for worker, index in (("a", 0), ("c", 2), ("d", 3))]

    assert sorted(number for share in shares for number in first_numbers(share)) == list(range(12))
    assert sorted(due for share in shares for due in share.scheduled(iter(range(10)))) == list(range(10))


def test_one_that_comes_late_repeats_nothing_that_others_send() -> None:
    late, later = share_of("e", 4, WORKERS), share_of("f", 5, WORKERS)

    of_all = [number for share in (late, later) for number in first_numbers(share)]
    assert len(set(of_all)) == len(of_all)
    assert min(of_all) > 10**8
    assert list(late.scheduled(iter(range(10)))) == []


def test_a_process_alone_sends_all_of_it() -> None:
    alone = Share()

    assert first_numbers(alone) == [0, 1, 2, 3]
    assert list(alone.scheduled(iter(range(3)))) == [0, 1, 2]
