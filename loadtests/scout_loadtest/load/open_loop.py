"""Sends each request when it is due, whatever came of those before."""

from collections.abc import Callable, Iterator

import gevent
from gevent.event import Event

from scout_loadtest.client.api_client import ApiClient
from scout_loadtest.record import ErrorKind, Record
from scout_loadtest.workload.plan import RequestPlan
from scout_loadtest.workload.request import PlannedRequest

MOST_IN_FLIGHT = 4096


class OpenLoop:
    """One schedule of requests.

    Args:
        schedule: Number of a request in the plan, and when it is due, in this order.
        client: With at least `MOST_IN_FLIGHT` connections.
        clock: Gives seconds since the load began.
        begin: Called before a request is sent.
        end: Takes each record.
        warm_up_s: What is due before it is warm-up.
        ends_s: What is due from then on is not sent.
    """

    def __init__(
        self,
        *,
        plan: RequestPlan,
        schedule: Iterator[tuple[int, float]],
        client: ApiClient,
        clock: Callable[[], float],
        begin: Callable[[], None],
        end: Callable[[Record], None],
        warm_up_s: float,
        ends_s: float,
        most_in_flight: int = MOST_IN_FLIGHT,
    ) -> None:
        self._plan = plan
        self._schedule = schedule
        self._client = client
        self._clock = clock
        self._begin = begin
        self._end = end
        self._warm_up_s = warm_up_s
        self._ends_s = ends_s
        self._most_in_flight = most_in_flight
        self._in_flight: set[gevent.Greenlet] = set()

    def run(self, stop: Event) -> None:
        """Send until the end, or until `stop` is set; does not wait for the answers."""
        for index, due_s in self._schedule:
            if due_s >= self._ends_s:
                break
            # Made before it is due, for making it takes time.
            request = self._plan.request(index)
            if (wait_s := due_s - self._clock()) > 0:
                stop.wait(wait_s)
            else:
                # Late: those that wait for their answers come first, or all of them would look slow.
                gevent.sleep(0)
            if stop.is_set():
                return
            self._begin()
            if len(self._in_flight) >= self._most_in_flight:
                self._end(self._not_sent(request, due_s))
                continue
            greenlet = gevent.spawn(self._send, request, due_s)
            self._in_flight.add(greenlet)
            greenlet.link(self._in_flight.discard)
        stop.wait(max(0.0, self._ends_s - self._clock()))

    def wait(self, timeout_s: float) -> None:
        """Wait for the answers that are due still; those that are not there in time get no record."""
        gevent.joinall(list(self._in_flight), timeout=timeout_s)
        gevent.killall(list(self._in_flight))

    def _send(self, request: PlannedRequest, due_s: float) -> None:
        self._end(self._client.send(request, due_s=due_s, is_warm_up=due_s < self._warm_up_s))

    def _not_sent(self, request: PlannedRequest, due_s: float) -> Record:
        now_s = self._clock()
        return Record(
            index=request.index,
            kind=request.kind,
            due_s=due_s,
            sent_s=now_s,
            ended_s=now_s,
            error=ErrorKind.NOT_SENT,
            error_text=f"{self._most_in_flight} requests were in flight, which is the most that this client has",
            sequences=request.sequences,
            is_warm_up=due_s < self._warm_up_s,
        )
