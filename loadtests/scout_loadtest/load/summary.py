"""The table of token metrics that a run from Locust's command line ends with."""

from collections.abc import Mapping, Sequence

from scout_loadtest.client_health import MOST_CPU, MOST_LATE_MS
from scout_loadtest.load.tally import Tally

_HEAD = (
    (
        "",
        "requests",
        "failed",
        "TTFT ms",
        "",
        "TPOT ms",
        "",
        "gap ms",
        "whole ms",
        "",
        "queued",
        "tokens/s",
        "",
        "hits",
        "goodput",
    ),
    ("kind", "", "", "p50", "p99", "p50", "p99", "p99", "p50", "p99", "ms p99", "user p50", "all", "", ""),
)
_NONE = "-"


def summary_lines(tallies: Mapping[str, Tally], *, elapsed_s: float, cpu: float, waiting: int = 0) -> list[str]:
    """Return the lines.

    Args:
        tallies: By kind.
        elapsed_s: How long it was measured.
        cpu: The share of a processor that the client used, of the busiest of its processes.
        waiting: How many requests were not answered yet when it ended.
    """
    whole = Tally()
    for tally in tallies.values():
        whole.merge(tally.message())
    rows = [_row(kind, tally, elapsed_s) for kind, tally in sorted(tallies.items())]
    table = _aligned([*_HEAD, *rows, _row("all", whole, elapsed_s)])
    rule = "-" * len(table[1])
    return [
        "Token metrics (percentiles within 1 %)",
        *table[:2],
        rule,
        *table[2:-1],
        rule,
        table[-1],
        *_remarks(whole, cpu, waiting),
    ]


def _row(kind: str, tally: Tally, elapsed_s: float) -> tuple[str, ...]:
    def at(name: str, percent: float) -> str:
        value = tally.sketches[name].percentile(percent)
        return _NONE if value is None else f"{value:.1f}" if value < 1000 else f"{value:.0f}"

    counts = tally.counts
    tokens_per_s = f"{counts['output_tokens'] / elapsed_s:.1f}" if counts["output_tokens"] and elapsed_s else _NONE
    return (
        kind,
        str(counts["requests"]),
        str(tally.errors.total()),
        at("ttft_ms", 50),
        at("ttft_ms", 99),
        at("tpot_ms", 50),
        at("tpot_ms", 99),
        at("gap_ms", 99),
        at("e2e_ms", 50),
        at("e2e_ms", 99),
        at("queued_ms", 99),
        at("tokens_per_s", 50),
        tokens_per_s,
        f"{counts['hits'] / counts['said_cache']:.0%}" if counts["said_cache"] else _NONE,
        f"{counts['good'] / counts['judged']:.1%}" if counts["judged"] else _NONE,
    )


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _remarks(whole: Tally, cpu: float, waiting: int) -> list[str]:
    lines = [f"failed: {count} x {kind}" for kind, count in whole.errors.most_common()]
    if waiting:
        lines.append(
            f"unanswered at the end: {waiting}, which may be the slowest and which no figure counts; "
            "--stop-timeout 60 waits for them"
        )
    if uncounted := whole.counts["uncounted"]:
        lines.append(
            f"{uncounted} answers say nothing of their tokens, such as those from the cache; no figure counts them"
        )
    late_ms = whole.sketches["late_ms"].percentile(99) or 0.0
    if cpu > MOST_CPU or late_ms > MOST_LATE_MS:
        lines.append(
            f"warning: this client was too slow for the load (a process used {cpu:.0%} of its processor, one request "
            f"in a hundred was sent {late_ms:.0f} ms late); add workers, the figures say nothing of the server"
        )
    return lines
