"""Read many streams at once and measure the gaps between their tokens: `python -m proxy_bench.stream_client`.

It shares its core with the engine, so it is a bare loop over epoll and sockets. A token counts when it arrives; several
that arrive together have a gap of zero between them. Prints one line of JSON.
"""

import argparse
import gc
import json
import os
import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from time import monotonic_ns, process_time
from urllib.parse import urlsplit

from proxy_bench.engine_wire import STREAM_END, WORD
from proxy_bench.quantile import percentile
from proxy_bench.request_text import request_parts

_WORD = WORD.encode()
_NS_PER_MS = 1_000_000
_LINE_END = b"\r\n"
_READ_BYTES = 65_536
_PATIENCE_NS = 30_000_000_000
_REST_S = 0.02


class StreamError(Exception):
    """A stream was refused, broke off, or had too few tokens."""


@dataclass(slots=True)
class Stream:
    """One stream that is being read.

    Args:
        rest: The end of what came last, in which a token may have begun.
    """

    socket: socket.socket
    has_begun: bool = False
    rest: bytes = b""
    arrivals_ns: list[int] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Gaps:
    """Of one round, in nanoseconds.

    Args:
        steady: Those after every stream had begun.
    """

    all: Sequence[int]
    steady: Sequence[int]
    first: Sequence[int]


class Round:
    """That many streams at once."""

    def __init__(self, address: tuple[str, int], requests: Sequence[bytes], tokens: int) -> None:
        self._tokens = tokens
        self._requests = requests
        self._poll = select.epoll()
        self._streams: dict[int, Stream] = {}
        for _ in requests:
            connection = socket.create_connection(address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._streams[connection.fileno()] = Stream(connection)
            self._poll.register(connection.fileno(), select.EPOLLIN)

    def run(self) -> Gaps:
        """Ask for all streams and read them to their end."""
        began = monotonic_ns()
        for stream, request in zip(self._streams.values(), self._requests, strict=True):
            stream.socket.sendall(request)
        self._read_all(began + _PATIENCE_NS)
        for stream in self._streams.values():
            stream.socket.close()
        self._poll.close()
        arrivals = [stream.arrivals_ns for stream in self._streams.values()]
        if any(len(one) != self._tokens for one in arrivals):
            raise StreamError(f"a stream had {min(map(len, arrivals))} tokens instead of {self._tokens}")
        all_began = max(one[0] for one in arrivals)
        gaps = [(later - earlier, earlier) for one in arrivals for earlier, later in pairwise(one)]
        return Gaps(
            all=[gap for gap, _ in gaps],
            steady=[gap for gap, earlier in gaps if earlier >= all_began],
            first=[one[0] - began for one in arrivals],
        )

    def _read_all(self, deadline_ns: int) -> None:
        open_streams = len(self._streams)
        poll, streams = self._poll.poll, self._streams
        while open_streams:
            for descriptor, _ in poll(1):
                stream = streams[descriptor]
                received = stream.socket.recv(_READ_BYTES)
                now, data = monotonic_ns(), received
                if stream.rest or not received.endswith(_LINE_END):
                    # What came may end within a token.
                    data = stream.rest + received
                    stream.rest = data[1 - len(_WORD) :]
                self._take(stream, data, now)
                if not received or data.endswith(STREAM_END):
                    self._poll.unregister(descriptor)
                    open_streams -= 1
            if monotonic_ns() > deadline_ns:
                raise StreamError(f"{open_streams} streams did not end")

    def _take(self, stream: Stream, data: bytes, now_ns: int) -> None:
        if not stream.has_begun:
            if not data.startswith(b"HTTP/1.1 200"):
                raise StreamError(data[:300].decode(errors="replace") or "closed without an answer")
            stream.has_begun = True
        # What ends a stream repeats its text.
        room = self._tokens - len(stream.arrivals_ns)
        for _ in range(min(data.count(_WORD), room)):
            stream.arrivals_ns.append(now_ns)


def summary(rounds: Sequence[Gaps], cpu_share: float) -> str:
    """One line of JSON."""
    found: dict[str, float] = {"cpu_share": cpu_share}
    for name in ("all", "steady", "first"):
        values = [value for one in rounds for value in getattr(one, name)] or [0]
        for percent in (50, 99):
            found[f"{name}_p{percent}_ms"] = percentile(values, percent) / _NS_PER_MS
        found[f"{name}_max_ms"] = max(values) / _NS_PER_MS
    return json.dumps(found)


def main() -> None:
    """Run the client."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="what is POSTed to; the body comes in BENCH_BODY")
    parser.add_argument("--header", action="append", default=[])
    parser.add_argument("--streams", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=50)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    given = parser.parse_args()
    gc.disable()
    target = urlsplit(given.url)
    before, after = request_parts(given.url, os.environ["BENCH_BODY"], given.header)
    number = given.seed * 10_000_000
    rounds, busy_s, taken_s = [], 0.0, 0.0
    for _ in range(given.rounds):
        requests = [before + b"%016d" % (number + index) + after for index in range(given.streams)]
        number += given.streams
        one = Round((target.hostname or "", target.port or 80), requests, given.tokens)
        began_s, cpu_s = time.monotonic(), process_time()
        rounds.append(one.run())
        taken_s, busy_s = taken_s + time.monotonic() - began_s, busy_s + process_time() - cpu_s
        time.sleep(_REST_S)
    print(summary(rounds, busy_s / taken_s), flush=True)


if __name__ == "__main__":
    main()
