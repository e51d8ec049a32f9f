"""Answers from the cache, beside nginx's proxy_cache."""

from proxy_bench.bench import Bench, Load
from proxy_bench.server import nginx, scout
from proxy_bench.verdict import Section, at_least_ratio, at_most, void_reason
from proxy_bench.window import Series

_GOALS = {32: 0.50, 256: 0.40}
_GROWTH_GOAL = 0.8
_ADDED_P50_GOAL_MS = 0.05


def hits(bench: Bench) -> Section:
    """Rates at 32 and at 256 connections."""
    measured: dict[int, list[Series]] = {}
    with scout(bench.place) as ours, nginx(bench.place, is_caching=True) as theirs:
        for connections in _GOALS:
            measured[connections] = bench.rates([ours, theirs], Load(connections=connections, is_unique=False))
    verdicts = [
        at_least_ratio(
            f"cache hit, {connections} connections", measured[connections][0], measured[connections][1], goal
        )
        for connections, goal in _GOALS.items()
    ]
    few, many = (measured[connections][0] for connections in _GOALS)
    verdicts.append(at_least_ratio("growth: hits at 256 connections over hits at 32", many, few, _GROWTH_GOAL))
    series = [labelled(one, connections) for connections, found in measured.items() for one in found]
    return Section(key="hit", title="Cache hits", verdicts=tuple(verdicts), series=tuple(series))


def hit_latency(bench: Bench) -> Section:
    """The time of an answer with nothing else to do."""
    with scout(bench.place) as ours, nginx(bench.place, is_caching=True) as theirs:
        mine, other = bench.latencies([ours, theirs], Load(connections=1, is_unique=False))
    verdict = at_most(
        "cache hit, 1 connection, p50 above nginx proxy_cache",
        mine.value - other.value,
        _ADDED_P50_GOAL_MS,
        "ms",
        void=void_reason(mine, other),
    )
    return Section(key="hit-latency", title="Cache hits, 1 connection, p50", verdicts=(verdict,), series=(mine, other))


def labelled(series: Series, connections: int) -> Series:
    """Say at how many connections a series was measured."""
    return Series(
        server=f"{series.server}, {connections} connections",
        unit=series.unit,
        windows=series.windows,
        cost_us=series.cost_us,
        note=series.note,
    )
