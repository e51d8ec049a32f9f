"""Ask at a constant rate, whatever the answers take: `python -m proxy_bench.open_loop`.

wrk asks again when it is answered, so a server that stalls is asked less in the meantime. Here each request has its
time, and what it took is counted from that time on. Requests go over kept connections; one more is opened where none
is free. Prints one line of JSON.
"""

import argparse
import asyncio
import gc
import json
import os
import re
from collections.abc import Sequence
from time import monotonic_ns, process_time
from typing import cast
from urllib.parse import urlsplit

import uvloop

from proxy_bench.precise_timer import PreciseTimer
from proxy_bench.quantile import percentile
from proxy_bench.request_text import request_parts

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_NS = 1_000_000_000
_NS_PER_MS = 1_000_000
_WARM_UP_REQUESTS = 100
_PATIENCE_S = 60


class Run:
    """One run: the plan, the free connections and what was seen."""

    def __init__(self, address: tuple[str, int], parts: tuple[bytes, bytes], *, rate: float, requests: int) -> None:
        self.taken_ns: list[int] = []
        self.late_ns: list[int] = []
        self.errors: list[str] = []
        self.done = asyncio.Event()
        self._address = address
        self._before, self._after = parts
        self._interval_ns = _NS / rate
        self._requests = requests
        self._sent = self._ended = 0
        self._free: list[Connection] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._timer = PreciseTimer(asyncio.get_running_loop())
        self._began_ns = 0

    async def open(self, connections: int) -> None:
        """Open connections before the first request."""
        for _ in range(connections):
            self._free.append(await self._connect())

    def start(self, first_number: int) -> None:
        """Send the first request, from which on each has its time."""
        self._number = first_number
        self._began_ns = monotonic_ns() + _NS_PER_MS
        self._timer.call_at(self._began_ns, self._send_due)

    def ended(self, connection: "Connection", due_ns: int, error: str | None) -> None:
        """Take an answer, or the failure to get one."""
        if error is None:
            self.taken_ns.append(monotonic_ns() - due_ns)
            self._free.append(connection)
        else:
            self.errors.append(error)
        self._count_ended()

    def left(self, connection: "Connection") -> None:
        """Use a connection that was closed no more."""
        if connection in self._free:
            self._free.remove(connection)

    def _send_due(self) -> None:
        now = monotonic_ns()
        while self._sent < self._requests and (due := self._due_ns(self._sent)) <= now:
            self._send(due)
            self._sent += 1
        if self._sent < self._requests:
            self._timer.call_at(self._due_ns(self._sent), self._send_due)

    def _due_ns(self, index: int) -> int:
        return self._began_ns + round(index * self._interval_ns)

    def _send(self, due_ns: int) -> None:
        self._number += 1
        request = self._before + b"%016d" % self._number + self._after
        self.late_ns.append(monotonic_ns() - due_ns)
        if self._free:
            self._free.pop().ask(request, due_ns)
        else:
            task = asyncio.create_task(self._open_and_ask(request, due_ns))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open_and_ask(self, request: bytes, due_ns: int) -> None:
        try:
            connection = await self._connect()
        except OSError as exc:
            self.errors.append(f"connect: {exc}")
            self._count_ended()
        else:
            connection.ask(request, due_ns)

    def _count_ended(self) -> None:
        self._ended += 1
        if self._ended == self._requests:
            self.done.set()

    async def _connect(self) -> "Connection":
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(self), *self._address)
        return connection


class Connection(asyncio.Protocol):
    """One kept connection: a request, its answer, the next request."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._received = b""
        self._due_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def ask(self, request: bytes, due_ns: int) -> None:
        """Send a request."""
        self._due_ns = due_ns
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Look whether the answer is complete."""
        self._received += data
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        length = _LENGTH.search(self._received, 0, head_end)
        if length is None:
            self._end(f"an answer without a length: {self._received[:200]!r}")
        elif len(self._received) >= head_end + 4 + int(length[1]):
            is_ok = self._received.startswith(b"HTTP/1.1 200")
            self._end(None if is_ok else f"{self._received[:200]!r}")

    def connection_lost(self, exc: Exception | None) -> None:
        """End; an answer that was due is an error."""
        self._run.left(self)
        if self._due_ns:
            self._end(f"closed: {exc}")

    def _end(self, error: str | None) -> None:
        due_ns, self._due_ns, self._received = self._due_ns, 0, b""
        self._run.ended(self, due_ns, error)


def summary(run: Run, requests: int, cpu_share: float) -> str:
    """One line of JSON."""
    return json.dumps(
        {
            "requests": requests,
            "answered": len(run.taken_ns),
            "errors": requests - len(run.taken_ns),
            "first_error": next(iter(run.errors), None),
            "cpu_share": cpu_share,
            **_percentiles("taken", run.taken_ns),
            **_percentiles("late", run.late_ns),
        }
    )


def _percentiles(name: str, values_ns: Sequence[int]) -> dict[str, float]:
    values_ns = values_ns or [0]
    return {f"{name}_p{percent}_ms": percentile(values_ns, percent) / _NS_PER_MS for percent in (50, 99)}


async def measure(given: argparse.Namespace) -> str:
    """Warm up, ask, and return the summary."""
    target = urlsplit(given.url)
    parts = request_parts(given.url, os.environ["BENCH_BODY"], given.header)
    address = target.hostname or "", target.port or 80
    requests = round(given.rate * given.seconds)
    number = given.seed * 10_000_000
    if given.warm_up:
        warm = Run(address, parts, rate=given.rate, requests=_WARM_UP_REQUESTS)
        await warm.open(given.connections)
        warm.start(number)
        await asyncio.wait_for(warm.done.wait(), _PATIENCE_S)
    run = Run(address, parts, rate=given.rate, requests=requests)
    await run.open(given.connections)
    began_s, cpu_s = monotonic_ns(), process_time()
    run.start(number + _WARM_UP_REQUESTS)
    try:
        await asyncio.wait_for(run.done.wait(), given.seconds + _PATIENCE_S)
    except TimeoutError:
        run.errors.append("not all were answered in time")
    return summary(run, requests, (process_time() - cpu_s) / (monotonic_ns() - began_s) * _NS)


def main() -> None:
    """Run the client."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="what is POSTed to; the body comes in BENCH_BODY")
    parser.add_argument("--header", action="append", default=[])
    parser.add_argument("--rate", type=float, required=True, help="requests per second")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--connections", type=int, default=64, help="opened beforehand")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--warm-up", action="store_true")
    given = parser.parse_args()
    gc.disable()
    print(uvloop.run(measure(given)), flush=True)


if __name__ == "__main__":
    main()
