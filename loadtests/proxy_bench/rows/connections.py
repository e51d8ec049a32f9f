"""As many connections as the goal names, each with a request in flight."""

from proxy_bench.bench import Bench, Load
from proxy_bench.server import scout
from proxy_bench.verdict import Section, Verdict

_CONNECTIONS = 4000
_SECONDS = 5


def many_connections(bench: Bench) -> Section:
    """Errors of any kind, hits and misses."""
    bench.engine.set(latency_ms=0)
    verdicts = []
    for is_unique in (False, True):
        load = Load(connections=_CONNECTIONS, is_unique=is_unique)
        with scout(bench.place) as server:
            run, _, _ = bench.window(server, load, seconds=_SECONDS, tolerates_errors=True)
        # Some connections that were never answered would be no error for wrk.
        is_served = run.requests >= _CONNECTIONS
        verdicts.append(
            Verdict(
                what=f"{_CONNECTIONS:,} connections, {'misses' if is_unique else 'hits'}",
                goal="no error",
                value=f"{run.errors.total} errors in {run.requests:,} requests",
                is_met=run.errors.total == 0 and is_served,
                note=f"{run.errors}" if run.errors.total else f"{run.rate:,.0f} requests/s, p99 {run.p99_ms:,.0f} ms",
            )
        )
    return Section(key="connections", title="Many connections", verdicts=tuple(verdicts))
