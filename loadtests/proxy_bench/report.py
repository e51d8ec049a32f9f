"""The result as Markdown and as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from proxy_bench.verdict import Section, Verdict
from proxy_bench.window import NOISE, Series

_PAGE = """\
# The proxy beside its rivals

Written by `make bench-proxy BENCH="--results loadtests/RESULTS.md"`. Servers have one core, the load generator, the
fake engine and the benchmark itself another. Servers that are compared are measured in turn in one run; values are
medians of short windows, with the lowest and the highest. *server*, *load* and *others* are shares of a core: of
the server, of what loads it, and of everybody else on the machine. A window in which the load's core was busy while
the server's was not is void, since it measures the generator; a ratio with a void side is a bound, and says so.

Rivals: nginx with one worker (proxy_cache by request body, proxy_pass over kept connections, no access log),
FastAPI with `text_generation.AsyncClient` as its documentation shows it (on uvloop and httptools, no access log),
and the LiteLLM proxy with one worker. The proxy has its cache, an API key, metrics, request ids and a chat
template. Hits are one request again and again, misses are requests of which no two are the same, 16 tokens each;
the engine of the misses takes no time unless the row says so. Added latencies and gaps are those above the engine's
own, asked by the same client. Why what falls short does: [LIMITS.md](LIMITS.md).

"""
_MET = {True: "met", False: "**not met**", None: "not measured"}


def markdown(sections: Sequence[Section], machine: Mapping[str, str]) -> str:
    """Return the goals' table, what fell short, every series, and the machine."""
    parts = [
        _table(
            ("what", "goal", "value", "", "note"),
            [
                (one.what, one.goal, one.value, _MET[one.is_met], one.note)
                for section in sections
                for one in section.verdicts
            ],
        ),
        shortfall([one for section in sections for one in section.verdicts]),
    ]
    for section in sections:
        if section.series:
            parts += [f"### {section.title}", _table(_SERIES_HEAD, [_series_row(one) for one in section.series])]
    parts += ["### Machine", "\n".join(f"- {name}: {text}" for name, text in machine.items())]
    return "\n\n".join(parts) + "\n"


def page(sections: Sequence[Section], machine: Mapping[str, str]) -> str:
    """Return the report as a page of its own, with how to read it."""
    return _PAGE + markdown(sections, machine)


def shortfall(verdicts: Sequence[Verdict]) -> str:
    """Say which goals were not met or not measured, or that there is none."""
    missed = [f"- {one.what}: {one.value}, the goal is {one.goal}" for one in verdicts if one.is_met is False]
    unknown = [f"- {one.what} ({one.goal}): {one.note}" for one in verdicts if one.is_met is None]
    lines = [f"{sum(one.is_met is True for one in verdicts)} of {len(verdicts)} goals were met."]
    lines += ["", "Falls short:", "", *missed] if missed else []
    lines += ["", "Not measured:", "", *unknown] if unknown else []
    return "\n".join(lines)


def as_json(sections: Sequence[Section], machine: Mapping[str, str]) -> str:
    """Return everything, each window included."""
    return json.dumps({"machine": dict(machine), "sections": [asdict(section) for section in sections]}, indent=2)


_SERIES_HEAD = ("server", "median", "lowest to highest", "CPU us/request", "server", "load", "others", "")


def _series_row(series: Series) -> tuple[str, ...]:
    lowest, highest = series.spread
    notes = [series.note] if series.note else []
    if series.is_void:
        notes.append("void: generator saturated")
    if series.share("others") > NOISE:
        notes.append("the machine was not quiet")
    return (
        series.server,
        f"{_number(series.value)} {series.unit}",
        f"{_number(lowest)} to {_number(highest)}",
        "" if series.cost_us is None else f"{series.cost_us:.1f}",
        f"{series.share('server'):.0%}",
        f"{series.share('load'):.0%}",
        f"{series.share('others'):.0%}",
        "; ".join(notes),
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
