"""Jobs in a few threads that can be left behind: Ctrl-C must not wait for a server that says nothing."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Generic, Self, TypeVar

Job = TypeVar("Job")


class Workers(Generic[Job]):
    """Does `work` once for each job, a few at a time, until all are done or one fails.

    The threads are daemons, unlike those of `concurrent.futures`, which the interpreter waits for at its end.

    Args:
        jobs: In the order to begin them in.
        work: Raises what should end the rest too.
        count: How many at a time.
        cancelled: Set by `stop` and by a failure; `work` looks at it.
    """

    def __init__(
        self, jobs: Iterable[Job], work: Callable[[Job], None], *, count: int, cancelled: threading.Event
    ) -> None:
        self._waiting = deque(jobs)
        self._work = work
        self._cancelled = cancelled
        self._running: list[Job] = []
        self._failure: BaseException | None = None
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._run, name=f"worker-{number}", daemon=True)
            for number in range(min(count, len(self._waiting)))
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Wait until all jobs are done; False where they are not after `timeout_s`.

        Raises:
            BaseException: What the first job that failed raised.
        """
        with self._changed:
            done = self._changed.wait_for(self._is_over, timeout_s)
            if self._failure is not None:
                raise self._failure
            return done

    def running(self) -> tuple[Job, ...]:
        """Return the jobs being done now, the oldest first."""
        with self._changed:
            return tuple(self._running)

    def stop(self, timeout_s: float) -> None:
        """Let no more jobs begin, and wait a little for those that run."""
        self._cancelled.set()
        for thread in self._threads:
            thread.join(timeout_s / len(self._threads))

    def _is_over(self) -> bool:
        return self._failure is not None or not (self._waiting or self._running)

    def _run(self) -> None:
        while (job := self._next()) is not None:
            with (outcome := _Outcome()):
                self._work(job)
            with self._changed:
                self._running.remove(job)
                if outcome.failure is not None:
                    self._failure = self._failure or outcome.failure
                    self._cancelled.set()
                self._changed.notify_all()

    def _next(self) -> Job | None:
        with self._changed:
            if self._cancelled.is_set() or not self._waiting:
                return None
            job = self._waiting.popleft()
            self._running.append(job)
            return job


class _Outcome:
    """Holds what was raised in it, whatever it is, for the thread that waits."""

    failure: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self.failure = value
        return True
