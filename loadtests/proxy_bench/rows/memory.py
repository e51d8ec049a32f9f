"""Memory of requests in flight, and over many requests."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from statistics import median

from proxy_bench.bench import Bench, Load
from proxy_bench.child import BenchError
from proxy_bench.meter import Meter
from proxy_bench.server import Server, nginx, plain_app, scout
from proxy_bench.verdict import Section, at_most
from proxy_bench.window import Series, Window

_MB = 1_000_000
_IN_FLIGHT_GOAL_MB = 35
_FIRST = 1000
_RATE = 500
# So long are all in flight at once. The whole stays below the 10 s after which AsyncClient gives up.
_TOGETHER_S = 2
_SAMPLE_S = 0.02
_STARTS = 3
_FLAT_GOAL_MB = 2.0
_FLAT_REQUESTS = 1_000_000
_FLAT_REQUESTS_QUICK = 100_000
# Full after the first windows, so that what grows later is not the cache.
_CACHE_ENTRIES = 1000
_CONNECTIONS = 32


def memory_in_flight(bench: Bench) -> Section:
    """What 1,000 requests in flight add to a fresh process that has already answered some."""
    starts: list[tuple[str, Callable[[], AbstractContextManager[Server]], int]] = [
        ("scout_proxy", lambda: scout(bench.place), _STARTS if bench.effort.is_full else 1),
        ("FastAPI + AsyncClient", lambda: plain_app(bench.place), 1),
        ("nginx proxy_pass", lambda: nginx(bench.place, is_caching=False), 1),
    ]
    series = [_grown(bench, name, start, times) for name, start, times in starts]
    verdict = at_most(f"memory for the first {_FIRST:,} requests in flight", series[0].value, _IN_FLIGHT_GOAL_MB, "MB")
    title = f"Memory for the first {_FIRST:,} requests in flight"
    return Section(key="memory", title=title, verdicts=(verdict,), series=tuple(series))


def _grown(bench: Bench, name: str, start: Callable[[], AbstractContextManager[Server]], times: int) -> Series:
    windows, notes = [], []
    for _ in range(times):
        with start() as server:
            bench.engine.set(latency_ms=0)
            bench.window(server, Load(connections=_CONNECTIONS, is_unique=True), seconds=1)
            window, grown = _grown_once(bench, server)
            windows.append(window)
            notes.append(grown[max(grown)])
    bench.engine.set(latency_ms=0)
    note = f"{median(notes):.1f} MB at {2 * _FIRST:,}" if bench.effort.is_full else ""
    return Series(server=name, unit="MB", windows=windows, note=note)


def _grown_once(bench: Bench, server: Server) -> tuple[Window, Mapping[int, float]]:
    counts = (_FIRST, 2 * _FIRST) if bench.effort.is_full else (_FIRST,)
    seconds = counts[-1] / _RATE
    bench.engine.set(latency_ms=1000 * (seconds + _TOGETHER_S))
    before = server.child.rss_bytes()
    meter = Meter(bench.cores, server.child, bench.engine.child)
    options = ["--rate", str(_RATE), "--seconds", str(seconds), "--connections", "0"]
    with ThreadPoolExecutor(1) as threads:
        client = threads.submit(bench.client, "open_loop", server.target, server.child, *options)
        grown: dict[int, float] = {}
        for count in counts:
            while bench.engine.counters()["in_flight"] < count:
                if client.done():
                    raise BenchError(f"{server.target.name}: fewer than {count:,} were in flight: {client.result()[0]}")
                time.sleep(_SAMPLE_S)
            grown[count] = (server.child.rss_bytes() - before) / _MB
        usage = meter.usage()
        found, _ = client.result()
    if found["errors"]:
        raise BenchError(f"{server.target.name}: {found['errors']} errors, first {found['first_error']}")
    shown = ", ".join(f"{megabytes:5.1f} MB at {count:,}" for count, megabytes in grown.items())
    bench.say(f"  {server.target.name:<22} {shown}")
    return Window(value=grown[_FIRST], usage=usage), grown


def memory_flat(bench: Bench) -> Section:
    """How much the memory grows over a million requests, hits and misses in turn, once the cache is full."""
    bench.engine.set(latency_ms=0)
    wanted = _FLAT_REQUESTS if bench.effort.is_full else _FLAT_REQUESTS_QUICK
    loads = [Load(connections=_CONNECTIONS, is_unique=is_unique) for is_unique in (True, False)]
    with scout(bench.place, cache_entries=_CACHE_ENTRIES) as server:
        for load in loads:
            bench.window(server, load, seconds=bench.effort.seconds)
        samples, requests = [server.child.rss_bytes() / _MB], 0
        while requests < wanted:
            for load in loads:
                run, _, _ = bench.window(server, load, seconds=bench.effort.seconds)
                requests += run.requests
            samples.append(server.child.rss_bytes() / _MB)
    note = f"from {samples[0]:.1f} to {samples[-1]:.1f} MB, at most {max(samples):.1f} MB"
    verdict = at_most(
        f"memory over {requests:,} requests: growth", samples[-1] - samples[0], _FLAT_GOAL_MB, "MB", note=note
    )
    return Section(key="flat", title="Memory over many requests", verdicts=(verdict,))
