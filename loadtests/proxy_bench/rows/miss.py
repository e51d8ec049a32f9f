"""Answers that have to be generated, by an engine that takes no time for it."""

from contextlib import ExitStack

from proxy_bench.bench import Bench, Load
from proxy_bench.child import BenchError
from proxy_bench.rows.hit import labelled
from proxy_bench.server import litellm, nginx, plain_app, scout
from proxy_bench.verdict import Section, at_least_ratio, unmeasured

_PLAIN_GOAL = 5
_LITELLM_GOAL = 40
_GROWTH_GOAL = 0.8
_CONNECTIONS = 32
_MANY = 256


def misses(bench: Bench) -> Section:
    """Rates at 32 connections, and of the proxy alone at 256."""
    bench.engine.set(latency_ms=0)
    with ExitStack() as running:
        ours = running.enter_context(scout(bench.place))
        servers = [
            ours,
            running.enter_context(plain_app(bench.place)),
            running.enter_context(nginx(bench.place, is_caching=False)),
        ]
        missing = "it is not installed"
        if bench.litellm is not None:
            try:
                servers.append(running.enter_context(litellm(bench.place, bench.litellm)))
            except BenchError as exc:
                missing = str(exc)
        mine, plain, passing, *lite = bench.rates(servers, Load(connections=_CONNECTIONS, is_unique=True))
        (many,) = bench.rates([ours], Load(connections=_MANY, is_unique=True))
    what = f"cache miss, {_CONNECTIONS} connections"
    verdicts = (
        at_least_ratio(what, mine, plain, _PLAIN_GOAL),
        at_least_ratio(what, mine, lite[0], _LITELLM_GOAL)
        if lite
        else unmeasured(what, f"at least {_LITELLM_GOAL} times LiteLLM", missing),
        at_least_ratio(f"growth: misses at {_MANY} connections over misses at 32", many, mine, _GROWTH_GOAL),
    )
    series = [labelled(one, _CONNECTIONS) for one in (mine, plain, passing, *lite)] + [labelled(many, _MANY)]
    return Section(key="miss", title="Cache misses", verdicts=verdicts, series=tuple(series))
