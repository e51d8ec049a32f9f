"""Many streams at once, each with a token in every step of the engine."""

from contextlib import ExitStack

from proxy_bench.bench import Bench
from proxy_bench.child import Child
from proxy_bench.server import nginx, scout
from proxy_bench.target import Target, engine_target
from proxy_bench.verdict import Section, at_most, void_reason
from proxy_bench.window import Series, Window

_STREAMS = 256
_TOKENS = 50
_INTERVAL_MS = 5
_GOAL_MS = 1.0
_ROUNDS_PER_SECOND = 2


def streams(bench: Bench) -> Section:
    """The 99th percentile of the gaps between tokens, above that of the engine itself read by the same client."""
    bench.engine.set(latency_ms=0, interval_ms=_INTERVAL_MS)
    direct = engine_target(bench.engine.url, "/generate_stream", _TOKENS)
    with ExitStack() as running:
        ours = running.enter_context(scout(bench.place))
        passing = running.enter_context(nginx(bench.place, is_caching=False))
        mine = ours.target.streaming(_TOKENS)
        passed = engine_target(passing.target.url, "/generate_stream", _TOKENS, passing.target.name)
        asked: list[tuple[Target, Child | None]] = [(direct, None), (mine, ours.child), (passed, passing.child)]
        windows, notes = _measure(bench, asked)
    series = {name: Series(server=name, unit="ms", windows=found, note=notes[name]) for name, found in windows.items()}
    verdict = at_most(
        f"streaming, {_STREAMS} streams, {_TOKENS} tokens {_INTERVAL_MS} ms apart: p99 of the gaps above the engine's",
        series[mine.name].value - series[direct.name].value,
        _GOAL_MS,
        "ms",
        note=f"{series[mine.name].value:.2f} ms, the engine itself {series[direct.name].value:.2f} ms",
        void=void_reason(series[mine.name], series[direct.name]),
    )
    title = f"{_STREAMS} streams at once, p99 of the gaps between tokens"
    return Section(key="stream", title=title, verdicts=(verdict,), series=tuple(series.values()))


def _measure(bench: Bench, asked: list[tuple[Target, Child | None]]) -> tuple[dict[str, list[Window]], dict[str, str]]:
    windows: dict[str, list[Window]] = {target.name: [] for target, _ in asked}
    notes: dict[str, str] = {}
    rounds = _ROUNDS_PER_SECOND * bench.effort.seconds
    options = ["--streams", str(_STREAMS), "--tokens", str(_TOKENS), "--rounds", str(rounds)]
    for _ in range(bench.effort.windows):
        for target, child in asked:
            found, usage = bench.client("stream_client", target, child, *options)
            windows[target.name].append(Window(value=found["all_p99_ms"], usage=usage))
            notes[target.name] = (
                f"once all had begun p99 {found['steady_p99_ms']:.2f} ms, most {found['steady_max_ms']:.1f} ms; "
                f"first token p50 {found['first_p50_ms']:.0f} ms, p99 {found['first_p99_ms']:.0f} ms"
            )
            bench.say(
                f"  {target.name:<22} gaps p50 {found['all_p50_ms']:6.3f} ms  p99 {found['all_p99_ms']:6.3f} ms  "
                f"steady p99 {found['steady_p99_ms']:6.3f} ms  first p99 {found['first_p99_ms']:6.1f} ms  "
                f"client {found['cpu_share']:4.0%}  {usage.shown}"
            )
    return windows, notes
