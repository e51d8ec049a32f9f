import threading

import pytest

from scout_deploy.weights.workers import Workers

# A thread may get no processor for seconds.
PATIENCE_S = 60


def test_all_jobs_are_done_a_few_at_a_time() -> None:
    together = threading.Barrier(3)
    done: list[int] = []

    def work(job: int) -> None:
        together.wait(PATIENCE_S)
        done.append(job)

    workers = Workers(range(6), work, count=3, cancelled=threading.Event())
    workers.start()

    assert workers.wait(PATIENCE_S)
    assert sorted(done) == list(range(6))
    assert workers.running() == ()


def test_no_jobs_are_done_at_once() -> None:
    workers = Workers((), print, count=3, cancelled=threading.Event())
    workers.start()

    assert workers.wait(0)
    workers.stop(1)


def test_the_jobs_that_run_can_be_seen() -> None:
    began, go = threading.Event(), threading.Event()

    def work(_: str) -> None:
        began.set()
        assert go.wait(PATIENCE_S)

    workers = Workers(("first", "second"), work, count=1, cancelled=threading.Event())
    workers.start()

    assert began.wait(PATIENCE_S)
    assert not workers.wait(0.01)
    assert workers.running() == ("first",)
    go.set()
    assert workers.wait(PATIENCE_S)


def test_the_first_failure_is_raised_and_ends_the_rest() -> None:
    begun: list[int] = []
    cancelled = threading.Event()

    def work(job: int) -> None:
        begun.append(job)
        raise LookupError(str(job))

    workers = Workers(range(5), work, count=1, cancelled=cancelled)
    workers.start()

    with pytest.raises(LookupError, match="0"):
        workers.wait(PATIENCE_S)
    workers.stop(PATIENCE_S)
    assert begun == [0]
    assert cancelled.is_set()


def test_stopping_lets_no_job_begin() -> None:
    begun: list[int] = []
    both = threading.Barrier(3)
    cancelled = threading.Event()

    def work(job: int) -> None:
        begun.append(job)
        both.wait(PATIENCE_S)
        assert cancelled.wait(PATIENCE_S)

    workers = Workers(range(5), work, count=2, cancelled=cancelled)
    workers.start()
    both.wait(PATIENCE_S)
    assert not workers.wait(0.01)
    workers.stop(PATIENCE_S)

    assert len(begun) == 2
