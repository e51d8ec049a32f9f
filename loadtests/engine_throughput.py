"""Compare the embedded engine, through TGI's protocol, with llama.cpp's own HTTP server on the same model.

    python loadtests/engine_throughput.py [--rounds 5] [--streams 8] [--tokens 400] [--threads 1]

Each server is its own process with the same model file, threads, slots and context; one client process drives them in
turn (A B C A B C ...), always one at a time. Every stream asks for the same prompts, seeds and sampling. Tokens are
counted by the servers themselves (`details.generated_tokens`, `tokens_predicted`), time is the client's. The client
only looks for the end of each answer; its share of a core is printed, so that a client that is the bottleneck shows.

Servers: `engine` is ours; `llama.cpp` streams /completion with the logprob of each token, which TGI's events carry;
`llama.cpp bare` leaves the logprobs out.
"""

import argparse
import asyncio
import json
import os
import platform
import re
import statistics
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from time import perf_counter, process_time
from typing import cast
from urllib.parse import urlsplit

GOAL = 0.85
_CONTEXT = 2048
_WARM_UP_TOKENS = 16
_COUNTER = re.compile(rb'"(?:generated_tokens|tokens_predicted)":(\d+)')
_TAIL_BYTES = 8192
_DEMO_MODEL = Path(__file__).parent.parent / "toolkit" / "scout_engine" / "demo" / "scout-demo-q8_0.gguf"
_NATIVE = Path(__file__).parent / "engine_throughput_native.py"
_PROMPTS = (
    "The function returns",
    "Once upon a time",
    "To install the package,",
    "A list of numbers",
    "The next chapter",
)


@dataclass(frozen=True, kw_only=True)
class Server:
    """One server under load: where, and the request for one stream."""

    name: str
    url: str
    path: str
    dialect: str


@dataclass(frozen=True, kw_only=True)
class Round:
    """What one round of one server gave."""

    tokens: int
    seconds: float
    client_cpu: float

    @property
    def rate(self) -> float:
        """Tokens per second over all streams."""
        return self.tokens / self.seconds


def request_body(dialect: str, prompt: str, seed: int, tokens: int) -> Mapping[str, object]:
    """The same generation in one server's words."""
    if dialect == "tgi":
        parameters = {"max_new_tokens": tokens, "seed": seed, "temperature": 0.9, "do_sample": True, "details": True}
        return {"inputs": prompt, "parameters": parameters}
    body: dict[str, object] = {
        "prompt": prompt,
        "n_predict": tokens,
        "seed": seed,
        "temperature": 0.9,
        "stream": True,
        "top_k": 0,
        "top_p": 1.0,
        "min_p": 0.0,
        "samplers": ["penalties", "temperature", "top_k", "top_p", "typ_p"],
    }
    return body | {"n_probs": 1} if dialect == "llama" else body


class Stream(asyncio.Protocol):
    """Read one answer to its end, keeping only its tail."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        cast("asyncio.WriteTransport", transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        """Keep the end of what came."""
        self._tail = (self._tail + data)[-_TAIL_BYTES:]

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the token count out of the last event."""
        counts = _COUNTER.findall(self._tail)
        if exc is not None or not counts:
            self.done.set_exception(RuntimeError(f"a stream broke off: {exc}, {self._tail[-300:]!r}"))
        else:
            self.done.set_result(int(counts[-1]))


async def one_answer(server: Server, body: Mapping[str, object]) -> int:
    """Stream one answer and return the number of its tokens."""
    target = urlsplit(server.url)
    content = json.dumps(body).encode()
    head = (
        f"POST {server.path} HTTP/1.1\r\nHost: {target.netloc}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    loop = asyncio.get_running_loop()
    request = head.encode() + content
    _, stream = await loop.create_connection(lambda: Stream(request), target.hostname or "", target.port or 0)
    return await stream.done


async def drive(server: Server, streams: int, requests: int, tokens: int) -> Round:
    """Keep `streams` streams busy with `requests` generations each."""

    async def one_stream(number: int) -> int:
        total = 0
        for turn in range(requests):
            prompt = _PROMPTS[(number + turn) % len(_PROMPTS)]
            total += await one_answer(server, request_body(server.dialect, prompt, 1000 * turn + number, tokens))
        return total

    begun, cpu_begun = perf_counter(), process_time()
    counts = await asyncio.gather(*(one_stream(number) for number in range(streams)))
    seconds = perf_counter() - begun
    return Round(tokens=sum(counts), seconds=seconds, client_cpu=(process_time() - cpu_begun) / seconds)


@asynccontextmanager
async def running(*command: str) -> AsyncIterator[str]:
    """Run a server until the block ends; yields the URL that it prints."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield await _printed_url(cast("asyncio.StreamReader", process.stdout))
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _printed_url(stdout: asyncio.StreamReader) -> str:
    while line := await stdout.readline():
        if found := re.search(r"url=(http\S+)", line.decode()):
            return found[1]
    raise SystemExit("a server ended before it was ready; its own message is above")


async def compare(arguments: argparse.Namespace) -> dict[str, list[Round]]:
    """Run every round of every server."""
    shared = ["--model", str(arguments.model), "--threads", str(arguments.threads)]
    shared += ["--slots", str(arguments.streams), "--context", str(_CONTEXT)]
    async with (
        running(sys.executable, str(_NATIVE), *shared) as native_url,
        running(sys.executable, "-m", "scout_engine", "--port", "0", *shared) as engine_url,
    ):
        servers = [
            Server(name="llama.cpp", url=native_url, path="/completion", dialect="llama"),
            Server(name="engine", url=engine_url, path="/generate_stream", dialect="tgi"),
            Server(name="llama.cpp bare", url=native_url, path="/completion", dialect="llama-bare"),
        ]
        for server in servers:
            await drive(server, arguments.streams, 1, _WARM_UP_TOKENS)
        rounds: dict[str, list[Round]] = {server.name: [] for server in servers}
        for number in range(arguments.rounds):
            for server in servers:
                measured = await drive(server, arguments.streams, arguments.requests, arguments.tokens)
                rounds[server.name].append(measured)
                print(
                    f"round {number + 1}  {server.name:<15} {measured.rate:8.0f} tokens/s  {measured.tokens} tokens  "
                    f"client {measured.client_cpu:.0%} of a core"
                )
    return rounds


def report(rounds: Mapping[str, Sequence[Round]], arguments: argparse.Namespace) -> float:
    """Print medians, spread and ratios; returns the ratio that the goal is about."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"\n{platform.platform()}, {cores} CPUs, Python {platform.python_version()}", end=", ")
    print(", ".join(f"{name} {metadata.version(name)}" for name in ("xllamacpp", "uvicorn", "uvloop", "starlette")))
    load = ", ".join(f"{one:.2f}" for one in os.getloadavg())
    print(f"load {load}; {arguments.model.name}, {arguments.threads} threads, {arguments.streams} streams")
    medians = {name: statistics.median(one.rate for one in measured) for name, measured in rounds.items()}
    for name, measured in rounds.items():
        rates = [one.rate for one in measured]
        print(f"{name:<15} median {medians[name]:8.0f} tokens/s  ({min(rates):.0f} to {max(rates):.0f})")
    for theirs in ("llama.cpp bare", "llama.cpp"):
        ratios = [ours.rate / other.rate for ours, other in zip(rounds["engine"], rounds[theirs], strict=True)]
        ratio = statistics.median(ratios)
        by_round = ", ".join(f"{one:.3f}" for one in ratios)
        print(f"engine / {theirs}: {ratio:.3f}, the median of its rounds {by_round}")
    print(f"goal: engine / llama.cpp at least {GOAL}")
    return ratio


def main() -> int:
    """Compare, report, and say by the exit code whether the goal was met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=_DEMO_MODEL)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--requests", type=int, default=3, help="generations of one stream in one round")
    parser.add_argument("--tokens", type=int, default=400)
    parser.add_argument("--threads", type=int, default=max(1, (os.cpu_count() or 2) - 1))
    arguments = parser.parse_args()
    return 0 if report(asyncio.run(compare(arguments)), arguments) >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
