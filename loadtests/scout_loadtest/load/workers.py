"""The workers of a distributed run: who takes part, who is gone, who has said all.

Locust itself ends such a run with 0 when all of its workers are gone, waits for ever where no time was set, and gives
what they measured last half a second to arrive; here they are asked for it.
"""

import time
from typing import Any

import gevent
from locust.runners import STATE_MISSING, MasterRunner, WorkerRunner

_FINISH = "scout_finish"
_FINISHED = "scout_finished"
_POLL_S = 0.05
# Beside the time that answers may still take: a worker may get no processor for a while.
_ANSWER_S = 10.0


class Workers:
    """All of them, as their master sees them.

    Attributes:
        fault: What of the last run is missing with its workers, in words; None where nothing is.

    Args:
        runner: Of the master.
    """

    def __init__(self, runner: MasterRunner) -> None:
        self.fault: str | None = None
        self._runner = runner
        self._took_part: set[str] = set()
        self._gone: set[str] = set()
        self._finished: set[str] = set()
        self._is_quitting = False
        runner.register_message(_FINISHED, self._on_finished)
        runner.environment.events.worker_connect.add_listener(self._on_connect)
        # Who is added last hears of it first, which is before Locust stops the run.
        runner.environment.events.quitting.add_listener(self._on_quitting)

    @property
    def are_gone(self) -> bool:
        """Whether nobody of the run is left."""
        return self._gone == self._took_part

    def begin(self) -> list[str]:
        """Take those that are there for those of the run that begins, and return their names."""
        names = [one for one in self._runner.clients if not self._is_gone(one)]
        self._took_part = set(names)
        self._gone, self._finished = set(), set()
        self.fault = None
        return names

    def note_gone(self, elapsed_s: float) -> None:
        """Note who is gone, before the run is stopped.

        Args:
            elapsed_s: How long it has lasted.
        """
        self._gone = {one for one in self._took_part if self._is_gone(one)}
        if self._gone and self.are_gone:
            self.fault = f"{self._words(self._gone)} gone after {elapsed_s:.1f} s of load, which ended it"
        elif self._gone:
            self.fault = f"{self._words(self._gone)} gone before the end"

    def finish(self, stop_timeout_s: float) -> None:
        """Let those that are there end their load, and wait for what they measured last. Blocks.

        Args:
            stop_timeout_s: How long the last answers may take.
        """
        self._runner.send_message(_FINISH)
        ends_s = time.monotonic() + stop_timeout_s + _ANSWER_S
        while (silent := self._silent()) and time.monotonic() < ends_s:
            gevent.sleep(_POLL_S)
        if silent and self.fault is None:
            self.fault = f"{self._words(silent)} silent at the end"

    def _silent(self) -> set[str]:
        return self._took_part - self._gone - self._finished

    def _is_gone(self, worker: str) -> bool:
        # Ctrl-C reaches all processes of a terminal: one that has said all before it left is no loss then.
        if self._is_quitting and worker in self._finished:
            return False
        return worker not in self._runner.clients or self._runner.clients[worker].state == STATE_MISSING

    def _words(self, some: set[str]) -> str:
        of = len(self._took_part)
        if len(some) < of:
            return f"{len(some)} of {of} workers {'was' if len(some) == 1 else 'were'}"
        return {1: "the only worker was", 2: "both workers were"}.get(of, f"all {of} workers were")

    def _on_connect(self, *, client_id: str, **_: Any) -> None:
        self._took_part.add(client_id)

    def _on_finished(self, *, msg: Any, **_: Any) -> None:
        self._finished.add(msg.node_id)

    def _on_quitting(self, **_: Any) -> None:
        self._is_quitting = True


class WorkersEnd:
    """Lets a worker say all that it measured before its run ends, whoever ends it.

    Args:
        runner: Of this worker.
    """

    def __init__(self, runner: WorkerRunner) -> None:
        self._runner = runner
        runner.register_message(_FINISH, self._finish, concurrent=True)
        runner.environment.events.quitting.add_listener(self._finish)

    def _finish(self, **_: Any) -> None:
        self._runner.stop()
        report: dict[str, Any] = {}
        self._runner.environment.events.report_to_master.fire(client_id=self._runner.client_id, data=report)
        self._runner.send_message("stats", report)
        self._runner.send_message(_FINISHED)
