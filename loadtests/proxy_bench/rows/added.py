"""What a proxy adds to an answer that takes 50 ms, at a constant rate far below what it can do."""

from contextlib import ExitStack
from statistics import median

from proxy_bench.bench import Bench
from proxy_bench.child import BenchError, Child
from proxy_bench.server import nginx, plain_app, scout
from proxy_bench.target import TOKENS, Target, engine_target
from proxy_bench.verdict import Section, at_most, void_reason
from proxy_bench.window import Series, Window

_RATE = 500
_LATENCY_MS = 50
_GOALS_MS = {50: 0.5, 99: 2.0}
# A client that sends later than this measures itself.
_LATE_P99_MS = 1.0


def added_latency(bench: Bench) -> Section:
    """The median and the 99th percentile, above those of the engine itself asked by the same client."""
    bench.engine.set(latency_ms=_LATENCY_MS)
    direct = engine_target(bench.engine.url, "/generate", TOKENS)
    with ExitStack() as running:
        servers = (
            running.enter_context(scout(bench.place)),
            running.enter_context(nginx(bench.place, is_caching=False)),
            running.enter_context(plain_app(bench.place)),
        )
        asked: list[tuple[Target, Child | None]] = [(direct, None)]
        asked += [(server.target, server.child) for server in servers]
        windows, late_ms = _measure(bench, asked)
    bench.engine.set(latency_ms=0)
    series = {
        (name, percent): Series(server=f"{name}, p{percent}", unit="ms", windows=found)
        for (name, percent), found in windows.items()
    }
    late = "the client sent too late" if late_ms > _LATE_P99_MS else ""
    verdicts = tuple(
        at_most(
            f"cache miss, added p{percent} at {_RATE}/s over a {_LATENCY_MS} ms engine",
            series["scout_proxy", percent].value - series[direct.name, percent].value,
            goal,
            "ms",
            note=f"the client itself sent {late_ms:.2f} ms late (p99)",
            void=late or void_reason(series["scout_proxy", percent]),
        )
        for percent, goal in _GOALS_MS.items()
    )
    return Section(key="added", title=f"Latency at {_RATE}/s", verdicts=verdicts, series=tuple(series.values()))


def _measure(
    bench: Bench, asked: list[tuple[Target, Child | None]]
) -> tuple[dict[tuple[str, int], list[Window]], float]:
    windows: dict[tuple[str, int], list[Window]] = {
        (target.name, percent): [] for target, _ in asked for percent in _GOALS_MS
    }
    late_ms = []
    options = ["--rate", str(_RATE), "--seconds", str(bench.effort.seconds), "--warm-up"]
    for _ in range(bench.effort.windows):
        for target, child in asked:
            found, usage = bench.client("open_loop", target, child, *options)
            if found["errors"]:
                raise BenchError(f"{target.name}: {found['errors']} errors, first {found['first_error']}")
            late_ms.append(found["late_p99_ms"])
            for percent in _GOALS_MS:
                value = found[f"taken_p{percent}_ms"]
                windows[target.name, percent].append(Window(value=value, usage=usage))
            bench.say(
                f"  {target.name:<22} p50 {found['taken_p50_ms']:7.3f} ms  p99 {found['taken_p99_ms']:7.3f} ms  "
                f"late p99 {found['late_p99_ms']:.3f} ms  {usage.shown}"
            )
    return windows, median(late_ms)
