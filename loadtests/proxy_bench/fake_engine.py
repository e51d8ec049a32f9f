"""A fake engine made for speed: `python -m proxy_bench.fake_engine`, which prints `url=...` once it listens.

It speaks TGI's protocol (`/info`, `/health`, `/tokenize`, `/generate`, `/generate_stream`, `/`) and OpenAI's chat
completions, and answers a documented request in the documented form. What it answers takes `latency_ms`; streams get
their tokens in common steps, as a batching engine gives them, `interval_ms` apart. `POST /control` sets both.
"""

import argparse
import asyncio
import gc
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from time import monotonic_ns
from typing import Any, cast

import uvloop

from proxy_bench.engine_wire import (
    INFO,
    STREAM_END,
    STREAM_HEAD,
    chat_stream_events,
    documented_answer,
    openai_answer,
    response,
    stream_events,
    tgi_answer,
    tokenized,
)
from proxy_bench.precise_timer import PreciseTimer

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_NS_PER_MS = 1_000_000
_BACKLOG = 8192


@dataclass
class Counters:
    """What `GET /control` tells; generations are counted when they are asked for."""

    generations: int = 0
    in_flight: int = 0
    aborted: int = 0
    connections: int = 0


class FakeEngine:
    """What every connection shares.

    Args:
        tokens: The most tokens of an answer.
    """

    def __init__(self, timer: PreciseTimer, tokens: int) -> None:
        self.tokens = tokens
        self.counters = Counters()
        self.latency_ns = 0
        self._interval_ns = 5 * _NS_PER_MS
        self._timer = timer
        self._streams: dict[Connection, Iterator[bytes]] = {}
        self._step_at_ns = 0

    def control(self, wanted: dict[str, float]) -> None:
        """Set the latency and the interval of steps, in milliseconds."""
        self.latency_ns = round(wanted.get("latency_ms", self.latency_ns / _NS_PER_MS) * _NS_PER_MS)
        self._interval_ns = round(wanted.get("interval_ms", self._interval_ns / _NS_PER_MS) * _NS_PER_MS)

    def after_latency(self, callback: Callable[[], None]) -> None:
        """Call back when a generation that begins now is done."""
        if self.latency_ns:
            self._timer.call_at(monotonic_ns() + self.latency_ns, callback)
        else:
            callback()

    def stream(self, connection: "Connection", events: tuple[bytes, ...]) -> None:
        """Give a connection one event in each step from the next one on."""
        self._streams[connection] = iter((STREAM_HEAD + events[0], *events[1:]))
        if len(self._streams) == 1:
            self._step_at_ns = monotonic_ns() + self._interval_ns
            self._timer.call_at(self._step_at_ns, self._step)

    def forget(self, connection: "Connection") -> None:
        """Give a connection no more tokens."""
        self._streams.pop(connection, None)

    def _step(self) -> None:
        ended = []
        for connection, events in self._streams.items():
            event = next(events)
            connection.push(event)
            if event.endswith(STREAM_END):
                ended.append(connection)
        for connection in ended:
            del self._streams[connection]
            connection.finished()
        if self._streams:
            now = monotonic_ns()
            # A step that came too late is not made up for: the tokens after it would come in a burst.
            is_late = now - self._step_at_ns > self._interval_ns
            self._step_at_ns = (now if is_late else self._step_at_ns) + self._interval_ns
            self._timer.call_at(self._step_at_ns, self._step)


class Connection(asyncio.Protocol):
    """One client. It sends its next request after the answer to the last one; more are taken one by one."""

    transport: asyncio.WriteTransport

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine
        self._received = b""
        self._is_busy = False
        self._is_open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.WriteTransport", transport)
        self._descriptor = transport.get_extra_info("socket").fileno()
        self._engine.counters.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the protocol's
        """End; a generation that was going on is aborted."""
        self._is_open = False
        self._engine.counters.connections -= 1
        if self._is_busy:
            self._engine.counters.aborted += 1
            self._engine.counters.in_flight -= 1
            self._engine.forget(self)

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._received = self._received + data if self._received else data
        while self._received and not self._is_busy and self._take():
            pass

    def push(self, data: bytes) -> None:
        """Send without the transport's own cost, which is as large as the kernel's; never before what waits there."""
        sent = 0
        if not self.transport.get_write_buffer_size():
            try:
                sent = os.write(self._descriptor, data)
            except BlockingIOError:
                pass
            except OSError:
                # The transport finds out by itself.
                return
        if sent < len(data):
            self.transport.write(data[sent:])

    def finished(self) -> None:
        """Be ready for the next request."""
        self._is_busy = False
        self._engine.counters.in_flight -= 1
        if self._received:
            self.data_received(b"")

    def _take(self) -> bool:
        head_end = self._received.find(_HEAD_END)
        if head_end < 0:
            return False
        length = _LENGTH.search(self._received, 0, head_end)
        body_begin = head_end + len(_HEAD_END)
        body_end = body_begin + (int(length[1]) if length else 0)
        if len(self._received) < body_end:
            return False
        method, path, _ = self._received[:head_end].split(b" ", 2)
        body = self._received[body_begin:body_end]
        self._received = self._received[body_end:]
        self._answer(method + b" " + path, body)
        return True

    def _answer(self, request: bytes, body: bytes) -> None:
        match request:
            case b"POST /generate" | b"POST /" | b"POST /v1/chat/completions":
                self._generate(request, json.loads(body))
            case b"POST /generate_stream":
                self._begin_stream(stream_events(self._wanted(json.loads(body)["parameters"]["max_new_tokens"])))
            case b"POST /tokenize":
                self.transport.write(tokenized(json.loads(body)["inputs"]))
            case b"GET /info":
                self.transport.write(response(json.dumps(INFO).encode()))
            case b"GET /health":
                self.transport.write(response(b""))
            case b"GET /control":
                self.transport.write(response(json.dumps(asdict(self._engine.counters)).encode()))
            case b"POST /control":
                self._engine.control(json.loads(body))
                self.transport.write(response(b"{}"))
            case _:
                self.transport.write(response(b"{}", "404 Not Found"))

    def _generate(self, request: bytes, body: dict[str, Any]) -> None:
        if request == b"POST /v1/chat/completions":
            tokens = self._wanted(body.get("max_tokens"))
            if body.get("stream"):
                self._begin_stream(chat_stream_events(tokens))
                return
            answer = openai_answer(tokens)
        elif "inputs" in body:
            parameters = body.get("parameters") or {}
            answer = tgi_answer(
                self._wanted(parameters.get("max_new_tokens")),
                has_details=bool(parameters.get("details")),
                is_list=request == b"POST /",
            )
        else:
            answer = documented_answer(body, self._wanted(body.get("max_length")))
        self._begin()
        if not self._engine.latency_ns:
            self.transport.write(answer)
            self._is_busy = False
            self._engine.counters.in_flight -= 1
            return

        def send() -> None:
            if self._is_open:
                self.transport.write(answer)
                self.finished()

        self._engine.after_latency(send)

    def _begin(self) -> None:
        self._is_busy = True
        self._engine.counters.generations += 1
        self._engine.counters.in_flight += 1

    def _begin_stream(self, events: tuple[bytes, ...]) -> None:
        def begin() -> None:
            if self._is_open:
                self._engine.stream(self, events)

        self._begin()
        self._engine.after_latency(begin)

    def _wanted(self, most: int | None) -> int:
        return min(most or self._engine.tokens, self._engine.tokens)


async def serve(port: int, tokens: int) -> None:
    """Listen on the loopback address until the process is ended."""
    loop = asyncio.get_running_loop()
    engine = FakeEngine(PreciseTimer(loop), tokens)
    server = await loop.create_server(lambda: Connection(engine), "127.0.0.1", port, backlog=_BACKLOG)
    print(f"url=http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    """Run the engine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tokens", type=int, default=50, help="the most tokens of an answer")
    given = parser.parse_args()
    # A collection of the whole heap would be seen as the proxy's latency.
    gc.disable()
    uvloop.run(serve(given.port, given.tokens))


if __name__ == "__main__":
    main()
