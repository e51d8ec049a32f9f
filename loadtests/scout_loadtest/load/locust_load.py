"""A load from Locust's own command line or page: requests, token metrics and open loop, on any number of workers."""

import logging
import os
import sys
import time
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from scout_loadtest.arrivals import due_times
from scout_loadtest.client.api_client import ApiClient
from scout_loadtest.errors import InputError
from scout_loadtest.figures import Targets
from scout_loadtest.figures_of import e2e_ms, tpot_ms, ttft_ms
from scout_loadtest.load.open_loop import MOST_IN_FLIGHT, OpenLoop
from scout_loadtest.load.share import Share, share_of
from scout_loadtest.load.summary import summary_lines
from scout_loadtest.load.tally import Tally
from scout_loadtest.load.watch import Watch
from scout_loadtest.load.workers import Workers, WorkersEnd
from scout_loadtest.record import Record
from scout_loadtest.step import Arrival
from scout_loadtest.workload.data_file import read_data
from scout_loadtest.workload.data_row import DataRow
from scout_loadtest.workload.kind import read_mix
from scout_loadtest.workload.plan import RequestPlan

WRONG_INPUT = 2
WORKERS_LOST = 3
_MESSAGE = "scout_loadtest"
_LOSS = "what was still to be sent or to be reported is missing in these figures"
_AFTER_LOSS = (
    "see the workers' own output; one that gets no processor for three seconds is given up: give each a processor"
)


class LocustLoad:
    """What the processes of one run of Locust share a part of: the plan, the counts.

    Attributes:
        is_ready: Whether there is something that can be sent.

    Args:
        environment: Its events are listened to.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._tallies: dict[str, Tally] = defaultdict(Tally)
        self._cpu = 0.0
        self._waiting = 0
        self._waiting_of: dict[str, int] = {}
        self._watch = Watch()
        self._began_s = self._ended_s = time.monotonic()
        self._is_running = False
        self.is_ready = False
        self._open_loop: OpenLoop | None = None
        self._over = Event()
        runner, events = environment.runner, environment.events
        self._workers = Workers(runner) if isinstance(runner, MasterRunner) else None
        self._end = WorkersEnd(runner) if isinstance(runner, WorkerRunner) else None
        events.test_start.add_listener(self._on_test_start)
        events.test_stopping.add_listener(self._on_test_stopping)
        events.test_stop.add_listener(self._on_test_stop)
        events.report_to_master.add_listener(self._on_report_to_master)
        events.worker_report.add_listener(self._on_worker_report)
        events.quit.add_listener(self._on_quit)

    @property
    def is_open(self) -> bool:
        """Whether requests are sent by a schedule, and not by the users."""
        return str(self._options.arrival) != Arrival.CLOSED

    @property
    def _options(self) -> Namespace:
        options: Namespace | None = self._environment.parsed_options
        if options is None:
            raise InputError("this load needs the options of Locust's command line", "run it with locust -f")
        return options

    def check(self) -> None:
        """Look at what was given before anything is sent.

        Raises:
            InputError: Something of it cannot be used.
        """
        options = self._options
        self._read_rows()
        _targets_of(options)
        if self.is_open and not options.rate > 0:
            raise InputError(f"{options.arrival} arrivals have no rate", "add --rate, in requests a second")
        if self._environment.host is not None:
            self.new_client(1).close()

    def new_client(self, connections: int) -> ApiClient:
        """Return a client of the API that is loaded."""
        return ApiClient(
            self._environment.host or "",
            connections=connections,
            timeout_s=self._options.request_timeout,
            api_key=os.environ.get("SCOUT_API_KEY") or None,
            clock=self._elapsed_s,
        )

    def ask(self, client: ApiClient, mix: Mapping[str, float]) -> Record:
        """Send the next request of a mixture, count it and return what came of it."""
        name = repr(sorted(mix.items()))
        request = self._plans(name, mix).request(next(self._numbers[name]))
        self._begin()
        record = client.send(request, is_warm_up=self._elapsed_s() < self._options.warm_up)
        self._take(record)
        return record

    def _plans(self, name: str, mix: Mapping[str, float]) -> RequestPlan:
        if name not in self._plan_of:
            self._plan_of[name] = RequestPlan(seed=self._options.seed, shares=read_mix(mix), rows=self._rows)
        return self._plan_of[name]

    def _begin(self) -> None:
        self._waiting += 1

    def _take(self, record: Record) -> None:
        self._waiting -= 1
        said = f"{record.error.value}: {record.error_text}" if record.error else None
        self._environment.events.request.fire(
            request_type="POST",
            name=record.kind,
            response_time=e2e_ms(record),
            response_length=0,
            exception=RuntimeError(said) if said else None,
            context={},
        )
        if record.is_warm_up:
            return
        self._tallies[record.kind].add(record, self._targets)
        if said is None:
            # Into Locust's table beside the requests, but not into their sum.
            for method, value in (("TTFT", ttft_ms(record)), ("TPOT", tpot_ms(record))):
                if value is not None:
                    self._environment.stats.get(record.kind, method).log(round(value), 0)

    def _on_test_start(self, **_: Any) -> None:
        self._tallies.clear()
        self._waiting_of.clear()
        self._waiting, self._cpu = 0, 0.0
        self._began_s, self._is_running = time.monotonic(), True
        runner = self._environment.runner
        self.is_ready = self._is_usable()
        if not self.is_ready:
            return
        if isinstance(runner, MasterRunner) and self._workers is not None:
            # Options that Locust does not know go to its workers with the first message.
            self._options.scout_workers = self._workers.begin()
            self._options.scout_mix = self._whole_mix()
            return
        share = Share()
        if isinstance(runner, WorkerRunner):
            share = share_of(runner.client_id, runner.worker_index, getattr(self._options, "scout_workers", ()))
        self._rows = self._read_rows()
        self._targets = _targets_of(self._options)
        self._plan_of: dict[str, RequestPlan] = {}
        self._numbers: dict[str, Iterator[int]] = defaultdict(share.numbers)
        self._watch = Watch()
        self._watch.start()
        if self.is_open:
            self._start_open_loop(share)

    def _is_usable(self) -> bool:
        """Look again at what was given, by the page or the master this time; where it is wrong, say so and end."""
        try:
            self.check()
        except InputError as exc:
            logging.getLogger(__name__).error("%s; %s", exc.message, exc.next_step)  # noqa: TRY400 # no bug of ours
            self._environment.process_exit_code = WRONG_INPUT
            runner, options = self._environment.runner, self._options
            if runner is not None:
                # Locust is just about to start it.
                gevent.spawn(runner.quit if options.headless or options.worker else runner.stop)
            return False
        self._environment.process_exit_code = None
        return True

    def _read_rows(self) -> tuple[DataRow, ...]:
        return read_data(Path(self._options.data) if self._options.data else None)

    def _whole_mix(self) -> dict[str, float]:
        mix: dict[str, float] = defaultdict(float)
        for user_class in self._environment.user_classes:
            shares = read_mix(getattr(user_class, "mix", {"mixed": 1}))
            for kind, share in shares.items():
                mix[str(kind)] += share * user_class.weight
        return dict(mix)

    def _start_open_loop(self, share: Share) -> None:
        options = self._options
        dues = due_times(Arrival(options.arrival), rate=options.rate, seed=options.seed)
        self._over = Event()
        self._open_loop = OpenLoop(
            plan=RequestPlan(
                seed=options.seed,
                shares=read_mix(getattr(options, "scout_mix", None) or self._whole_mix()),
                rows=self._rows,
            ),
            schedule=share.scheduled(enumerate(dues)),
            client=self.new_client(MOST_IN_FLIGHT),
            clock=self._elapsed_s,
            begin=self._begin,
            end=self._take,
            warm_up_s=options.warm_up,
            ends_s=float("inf"),
        )
        gevent.spawn(self._open_loop.run, self._over)

    def _on_test_stopping(self, **_: Any) -> None:
        if self._workers is not None:
            self._workers.note_gone(self._elapsed_s())

    def _on_test_stop(self, **_: Any) -> None:
        if self._workers is not None:
            self._end_workers(self._workers)
            return
        self._over.set()
        if self._open_loop is not None:
            self._open_loop.wait(self._environment.stop_timeout)
            self._open_loop = None
        self._note_end()

    def _end_workers(self, workers: Workers) -> None:
        self._note_end()
        workers.finish(self._environment.stop_timeout)
        if workers.fault is None:
            return
        self._environment.process_exit_code = WORKERS_LOST
        runner = self._environment.runner
        if runner is not None and workers.are_gone and self._options.headless:
            # Locust would wait for others, who may come or not.
            gevent.spawn(runner.quit)

    def _note_end(self) -> None:
        if self._is_running:
            self._ended_s, self._is_running = time.monotonic(), False
            if not isinstance(self._environment.runner, MasterRunner):
                self._cpu = self._watch.cpu
                self._watch.stop()

    def _on_report_to_master(self, *, data: dict[str, Any], **_: Any) -> None:
        tallies = {kind: tally.message() for kind, tally in self._tallies.items()}
        cpu = self._watch.cpu if self._is_running else self._cpu
        data[_MESSAGE] = {"tallies": tallies, "cpu": cpu, "waiting": self._waiting}
        self._tallies.clear()

    def _on_worker_report(self, *, client_id: str, data: dict[str, Any], **_: Any) -> None:
        message = data.get(_MESSAGE, {"tallies": {}, "cpu": 0.0, "waiting": 0})
        self._waiting_of[client_id] = message["waiting"]
        self._cpu = max(self._cpu, message["cpu"])
        for kind, tally in message["tallies"].items():
            self._tallies[kind].merge(tally)

    def _on_quit(self, **_: Any) -> None:
        if isinstance(self._environment.runner, WorkerRunner):
            return
        self._note_end()
        waiting = self._waiting + sum(self._waiting_of.values())
        if self._tallies or waiting:
            measured_s = self._ended_s - self._began_s - self._options.warm_up
            lines = summary_lines(self._tallies, elapsed_s=measured_s, cpu=self._cpu, waiting=waiting)
            print("\n".join(lines), file=sys.stderr)
        if self._workers is not None and self._workers.fault is not None:
            print(f"error: {self._workers.fault}: {_LOSS}\nnext: {_AFTER_LOSS}", file=sys.stderr)

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._began_s


def _targets_of(options: Namespace) -> Targets:
    asked = {name: getattr(options, f"{name}_target") for name in ("ttft", "tpot", "e2e")}
    for name, value in asked.items():
        if not 0 <= value < float("inf"):
            raise InputError(f"--{name}-target: got {value:g}, expected milliseconds", "give a number above 0")
    return Targets(**{f"{name}_ms": value or None for name, value in asked.items()})
