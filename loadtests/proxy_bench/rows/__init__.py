"""The rows of the goals' table, by the name that `--only` takes, in the order in which they are measured."""

from collections.abc import Callable, Mapping

from proxy_bench.bench import Bench
from proxy_bench.rows.added import added_latency
from proxy_bench.rows.connections import many_connections
from proxy_bench.rows.hit import hit_latency, hits
from proxy_bench.rows.memory import memory_flat, memory_in_flight
from proxy_bench.rows.miss import misses
from proxy_bench.rows.start import embedded_start, proxy_start
from proxy_bench.rows.stream import streams
from proxy_bench.verdict import Section

ROWS: Mapping[str, Callable[[Bench], Section]] = {
    "hit": hits,
    "hit-latency": hit_latency,
    "miss": misses,
    "added": added_latency,
    "stream": streams,
    "memory": memory_in_flight,
    "flat": memory_flat,
    "connections": many_connections,
    "start": proxy_start,
    "embedded": embedded_start,
}
