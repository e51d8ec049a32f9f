"""The key figures: a handful of numbers that are read first."""

from collections.abc import Iterator

from scout_loadtest.bench_run import BenchRun, Step
from scout_loadtest.figures import Spread
from scout_loadtest.labels import load_label
from scout_loadtest.report.markup import Markup, element
from scout_loadtest.report.quantity import E2E, QUANTITIES
from scout_loadtest.report.search import judged_ms
from scout_loadtest.report.units import counted, milliseconds, number, share
from scout_loadtest.report.verdict import failed_of

Tile = tuple[str, str, str]


def tiles(run: BenchRun, telling: Step) -> Markup:
    """Return the key figures of the most telling step and of the whole run."""
    return element("div", *(_tile(*tile) for tile in _tiles(run, telling)), class_="tiles")


def _tiles(run: BenchRun, telling: Step) -> Iterator[Tile]:
    figures = telling.result.figures
    if run.highest_rate is not None:
        beyond = "" if run.lowest_failed_rate is None else f"missed at {run.lowest_failed_rate:.4g}/s"
        yield "highest rate held", f"{run.highest_rate:.4g}/s", beyond
    yield from _latencies(run, telling)
    if figures.output_tokens_per_s:
        a_user = figures.output_tokens_per_s_per_user
        yield (
            "output tokens",
            f"{number(figures.output_tokens_per_s)}/s",
            f"{number(a_user.p50)}/s a user" if a_user else "",
        )
    else:
        yield "answered", f"{number(figures.answered_per_s)}/s", f"{number(figures.offered_per_s)}/s offered"
    if figures.goodput is not None:
        yield "goodput", share(figures.goodput), "within the service level"
    asked = sum(step.result.figures.requests for step in run.steps)
    failed = sum(failed_of(step.result.figures) for step in run.steps)
    yield "failed, whole run", f"{failed:,}", f"{share(failed / asked)} of {counted(asked, 'request')}" if asked else ""
    if figures.hit_rate and run.highest_rate is None:
        yield "cache hits", share(figures.hit_rate), "of what was answered"


def _latencies(run: BenchRun, telling: Step) -> Iterator[Tile]:
    """At the service level's percentile; end to end only where it is all there is, or where it has a target."""
    figures = telling.result.figures
    for quantity in QUANTITIES:
        spread, target = quantity.spread(figures), quantity.target(telling.result.targets)
        if spread is None or (quantity is E2E and target is None and figures.ttft_ms is not None):
            continue
        value = judged_ms(telling, spread, quantity, run.percentile)
        yield f"{quantity.short} p{run.percentile:g}", milliseconds(value), _beside(spread, target)


def _beside(spread: Spread, target: float | None) -> str:
    return f"p50 {milliseconds(spread.p50)}" + (f", target {target:g} ms" if target is not None else "")


def _tile(name: str, value: str, beside: str) -> Markup:
    return element(
        "div", element("p", name), element("strong", value), element("p", beside) if beside else None, class_="tile"
    )


def tiles_title(telling: Step) -> str:
    """Return which step the key figures are of."""
    return f"With {load_label(telling.result.load)}, but for what is of the whole run."
