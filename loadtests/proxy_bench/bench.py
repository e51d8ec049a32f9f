"""What every row has at hand, and how closed-loop windows are taken from several servers in turn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median
from time import time
from typing import Any

from proxy_bench.child import BenchError, Child
from proxy_bench.cores import Cores
from proxy_bench.engine import Engine
from proxy_bench.generator import run_client
from proxy_bench.meter import Meter
from proxy_bench.server import Place, Server
from proxy_bench.target import Target
from proxy_bench.window import Series, Usage, Window
from proxy_bench.wrk import WrkRun, run_wrk

_WARM_UP_S = 1
# A server that answers fewer than this in its warm-up gets a longer one.
_WARM_REQUESTS = 200
_LONG_WARM_UP_S = 8
# What the proxies' own probes may ask of the engine in a window.
_PROBES = 20


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is measured: windows of each server, and the seconds of one.

    Args:
        is_full: For a result; otherwise for a look.
    """

    windows: int
    seconds: int
    is_full: bool


FULL = Effort(windows=5, seconds=3, is_full=True)
QUICK = Effort(windows=3, seconds=1, is_full=False)


@dataclass(frozen=True, kw_only=True)
class Load:
    """Closed-loop load: that many connections, each asking again once it is answered.

    Args:
        is_unique: No two requests are the same.
    """

    connections: int
    is_unique: bool


class Bench:
    """The cores, the engine, the folder, and how much is measured.

    Args:
        litellm: Its program; None where it is not installed.
    """

    def __init__(self, *, cores: Cores, engine: Engine, folder: Path, effort: Effort, litellm: Path | None) -> None:
        self.cores = cores
        self.engine = engine
        self.effort = effort
        self.litellm = litellm
        self.place = Place(core=cores.server, folder=folder, engine_url=engine.url)
        # No request of an earlier run is in a cache that outlived it.
        self._seeds = count(int(time()) % 1_000_000 * 100)

    def say(self, line: str) -> None:
        """Print a line of progress."""
        print(line, flush=True)

    def rates(self, servers: Sequence[Server], load: Load) -> list[Series]:
        """Measure requests per second of each, in turn."""
        return self._closed_loop(servers, load, is_latency=False)

    def latencies(self, servers: Sequence[Server], load: Load) -> list[Series]:
        """Measure the median time of an answer of each, in turn, in milliseconds."""
        return self._closed_loop(servers, load, is_latency=True)

    def _closed_loop(self, servers: Sequence[Server], load: Load, *, is_latency: bool) -> list[Series]:
        for server in servers:
            run, _, _ = self.window(server, load, seconds=_WARM_UP_S)
            if run.requests < _WARM_REQUESTS:
                self.window(server, load, seconds=_LONG_WARM_UP_S)
        runs: dict[str, list[tuple[WrkRun, Window, float]]] = {server.target.name: [] for server in servers}
        for _ in range(self.effort.windows):
            for server in servers:
                run, window, cost_us = self.window(server, load, seconds=self.effort.seconds)
                value = run.p50_ms if is_latency else run.rate
                runs[server.target.name].append((run, Window(value=value, usage=window.usage), cost_us))
        return [_series(name, found, "ms" if is_latency else "requests/s") for name, found in runs.items()]

    def client(
        self, module: str, target: Target, server: Child | None, *options: str
    ) -> tuple[Mapping[str, Any], Usage]:
        """Run one of our own clients; returns what it printed and who used the cores.

        Args:
            server: None where the engine itself is asked.
        """
        meter = Meter(self.cores, server, self.engine.child)
        found, cpu_seconds = run_client(module, target, *options, core=self.cores.load, seed=next(self._seeds))
        return found, meter.usage(cpu_seconds)

    def window(
        self, server: Server, load: Load, *, seconds: int, tolerates_errors: bool = False
    ) -> tuple[WrkRun, Window, float]:
        """Take one window; returns wrk's run, its rate, and the server's processor time for each request.

        Raises:
            BenchError: What should be a hit or a miss was not, or a request failed where that is not tolerated.
        """
        before = self.engine.counters()["generations"]
        meter = Meter(self.cores, server.child, self.engine.child)
        run = run_wrk(
            server.target,
            core=self.cores.load,
            connections=load.connections,
            seconds=seconds,
            is_unique=load.is_unique,
            seed=next(self._seeds),
        )
        usage, cost_us = meter.usage(run.cpu_seconds), meter.server_seconds / max(run.requests, 1) * 1e6
        generations = self.engine.counters()["generations"] - before
        self.say(
            f"  {server.target.name:<22} {load.connections:>5} connections  {run.rate:>9,.0f} requests/s  "
            f"p50 {run.p50_ms:8.3f} ms  {cost_us:7.1f} us each  {usage.shown}"
        )
        if not tolerates_errors and run.errors.total:
            raise BenchError(f"{server.target.name}: {run.errors} in {run.requests} requests\n{server.child.said()}")
        _check_hits_and_misses(server.target.name, load, run, generations)
        return run, Window(value=run.rate, usage=usage), cost_us


def _check_hits_and_misses(name: str, load: Load, run: WrkRun, generations: int) -> None:
    if not load.is_unique and generations > load.connections + _PROBES:
        raise BenchError(f"{name}: {generations} of {run.requests} repeated requests reached the engine")
    if load.is_unique and generations < run.requests - run.errors.total:
        raise BenchError(f"{name}: {generations} of {run.requests} different requests reached the engine")


def _series(name: str, found: Sequence[tuple[WrkRun, Window, float]], unit: str) -> Series:
    return Series(
        server=name,
        unit=unit,
        windows=[window for _, window, _ in found],
        cost_us=median(cost_us for _, _, cost_us in found),
    )
