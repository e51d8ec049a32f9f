"""One step: a load that is held for a while against one API, from its beginning to its result."""

import resource
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import gevent
from gevent.event import Event

from scout_loadtest.arrivals import due_times
from scout_loadtest.client.api_client import NO_HEADERS, ApiClient
from scout_loadtest.client_health import judge
from scout_loadtest.errors import InputError
from scout_loadtest.figures import Targets
from scout_loadtest.figures_of import figures_of
from scout_loadtest.load.meter import Meter, Progress
from scout_loadtest.load.open_loop import MOST_IN_FLIGHT, OpenLoop
from scout_loadtest.load.watch import Watch
from scout_loadtest.step import Arrival, ClientHealth, Load, StepResult
from scout_loadtest.workload.data_file import digest_of, read_data
from scout_loadtest.workload.kind import read_mix
from scout_loadtest.workload.plan import RequestPlan

_PROGRESS_S = 1.0
_AFTER_INTERRUPT_S = 1.0
_FILES_BESIDE = 256


class _Loop(Protocol):
    def run(self, stop: Event) -> None: ...

    def wait(self, timeout_s: float) -> None: ...


class StepRun:
    """A step that can be stopped from a signal handler.

    Args:
        tell: Gets the progress, about once a second.
        headers: Of every request, beside its own.

    Raises:
        InputError: Something of the load cannot be used.
    """

    def __init__(
        self,
        *,
        url: str,
        load: Load,
        targets: Targets,
        api_key: str | None,
        tell: Callable[[Progress], None],
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        _check(load)
        self._load = load if load.data is None else load.model_copy(update={"data_sha256": digest_of(load.data)})
        self._targets = targets
        self._tell = tell
        self._plan = RequestPlan(seed=load.seed, shares=read_mix(load.mix), rows=read_data(load.data))
        self._meter = Meter()
        self._watch = Watch()
        self._stop = Event()
        self._reason: str | None = None
        self._began_s = time.monotonic()
        self._url = url
        self._api_key = api_key
        self._headers = headers
        self._new_client(1).close()  # tells of a wrong address before anything is sent

    def stop(self, reason: str) -> None:
        """End the load early; `run` returns soon with what there is."""
        self._reason = reason
        self._stop.set()

    def run(self) -> StepResult:
        """Hold the load and return its result."""
        _allow_open_files()
        loop = self._open_loop() if self._load.arrival is not Arrival.CLOSED else self._closed_loop()
        # The time that the imports took would be taken off the first waits.
        gevent.get_hub().loop.update_now()
        began_at, self._began_s = time.time(), time.monotonic()
        self._watch.start()
        telling = gevent.spawn(self._tell_often)
        loop.run(self._stop)
        ended_early_s = self._elapsed_s() if self._stop.is_set() else None
        # What is left is waiting, whose processor time says nothing of the load.
        self._watch.stop()
        cpu = self._watch.cpu
        self._wait(loop)
        telling.kill()
        records = tuple(sorted(self._meter.records, key=lambda record: record.index))
        return StepResult(
            load=self._load,
            targets=self._targets,
            began_at=began_at,
            took_s=self._elapsed_s(),
            records=records,
            figures=figures_of(records, load=self._load, targets=self._targets, ended_early_s=ended_early_s),
            client=self._judge(cpu),
            interrupted=self._interrupted(),
        )

    def _open_loop(self) -> _Loop:
        dues = due_times(self._load.arrival, rate=self._load.rate or 0.0, seed=self._load.seed)
        return OpenLoop(
            plan=self._plan,
            schedule=enumerate(dues),
            client=self._new_client(MOST_IN_FLIGHT),
            clock=self._elapsed_s,
            begin=self._meter.begin,
            end=self._meter.end,
            warm_up_s=self._load.warm_up_s,
            ends_s=self._ends_s,
        )

    def _closed_loop(self) -> _Loop:
        # Locust takes a second to import, and an open loop needs it not.
        from scout_loadtest.load.closed_loop import ClosedLoop  # noqa: PLC0415

        return ClosedLoop(
            users=self._load.users or 1,
            plan=self._plan,
            new_client=lambda: self._new_client(1),
            clock=self._elapsed_s,
            begin=self._meter.begin,
            end=self._meter.end,
            warm_up_s=self._load.warm_up_s,
            ends_s=self._ends_s,
        )

    def _new_client(self, connections: int) -> ApiClient:
        return ApiClient(
            self._url,
            connections=connections,
            timeout_s=self._load.request_timeout_s,
            api_key=self._api_key,
            headers=self._headers,
            clock=self._elapsed_s,
        )

    def _wait(self, loop: _Loop) -> None:
        """Wait for the answers that are due; not long where the load was interrupted, even now."""
        waiting = gevent.spawn(loop.wait, self._load.request_timeout_s + 1)
        gevent.wait([waiting, self._stop], count=1)
        if not waiting.dead:
            waiting.join(_AFTER_INTERRUPT_S)
            if not waiting.dead:
                waiting.kill()
                loop.wait(0)

    def _judge(self, cpu: float) -> ClientHealth:
        late_ms = [(record.sent_s - record.due_s) * 1000 for record in self._meter.records]
        is_open = self._load.arrival is not Arrival.CLOSED
        return judge(cpu=cpu, late_ms=late_ms if is_open else None, loop_late_ms=self._watch.loop_late_ms)

    def _interrupted(self) -> str | None:
        if self._reason is None or not self._meter.in_flight:
            return self._reason
        return f"{self._reason}; {self._meter.in_flight} requests that waited for their answers are not counted"

    def _tell_often(self) -> None:
        while True:
            gevent.sleep(_PROGRESS_S)
            self._tell(self._meter.progress(self._elapsed_s()))

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._began_s

    @property
    def _ends_s(self) -> float:
        return self._load.warm_up_s + self._load.duration_s


def _check(load: Load) -> None:
    if load.arrival is Arrival.CLOSED and load.users is None:
        raise InputError("a closed loop has no number of users", "give users")
    if load.arrival is not Arrival.CLOSED and load.rate is None:
        raise InputError(f"{load.arrival} arrivals have no rate", "give rate, in requests a second")


def _allow_open_files() -> None:
    """Let the process open a file for each connection, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_IN_FLIGHT + _FILES_BESIDE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )
