"""The tables of a report: every step with every figure, what failed, and what was measured."""

from collections import Counter
from collections.abc import Callable, Sequence

from scout_loadtest.bench_run import BenchRun, Step
from scout_loadtest.figures import Figures, Spread
from scout_loadtest.labels import load_label
from scout_loadtest.measure import error_share
from scout_loadtest.report.markup import Markup, element
from scout_loadtest.report.text import mark
from scout_loadtest.report.units import NOTHING, clock, moment, number, share
from scout_loadtest.report.verdict import service_level
from scout_loadtest.step import StepResult

_LONGEST_TEXT = 300

Column = tuple[str, str, Callable[[Figures], str]]


def _of(spread: Callable[[Figures], Spread | None], part: Callable[[Spread], float]) -> Callable[[Figures], str]:
    def cell(figures: Figures) -> str:
        known = spread(figures)
        return NOTHING if known is None else number(part(known))

    return cell


def _ends(name: str, unit: str, spread: Callable[[Figures], Spread | None]) -> list[Column]:
    return [
        (f"{name} p50", unit, _of(spread, lambda one: one.p50)),
        (f"{name} p90", unit, _of(spread, lambda one: one.p90)),
        (f"{name} p99", unit, _of(spread, lambda one: one.p99)),
        (f"{name} max", unit, _of(spread, lambda one: one.max)),
    ]


def _columns() -> list[Column]:
    return [
        ("requests", "", lambda figures: f"{figures.requests:,}"),
        ("offered", "/s", lambda figures: number(figures.offered_per_s)),
        ("answered", "/s", lambda figures: number(figures.answered_per_s)),
        ("errors", "", lambda figures: share(error_share(figures))),
        ("goodput", "", lambda figures: share(figures.goodput)),
        ("output", "tokens/s", lambda figures: number(figures.output_tokens_per_s)),
        ("a user", "tokens/s", _of(lambda figures: figures.output_tokens_per_s_per_user, lambda one: one.p50)),
        *_ends("TTFT", "ms", lambda figures: figures.ttft_ms),
        *_ends("TPOT", "ms", lambda figures: figures.tpot_ms),
        ("gap p50", "ms", _of(lambda figures: figures.gap_ms, lambda one: one.p50)),
        ("gap p99", "ms", _of(lambda figures: figures.gap_ms, lambda one: one.p99)),
        *_ends("end to end", "ms", lambda figures: figures.e2e_ms),
        ("queued p50", "ms", _of(lambda figures: figures.queued_ms, lambda one: one.p50)),
        ("queued p99", "ms", _of(lambda figures: figures.queued_ms, lambda one: one.p99)),
        ("cache hits", "", lambda figures: share(figures.hit_rate)),
        ("input", "tokens", lambda figures: f"{figures.input_tokens:,}"),
        ("output", "tokens", lambda figures: f"{figures.output_tokens:,}"),
    ]


def steps_table(run: BenchRun) -> Markup:
    """Return every figure of every step; a column that is empty in all of them is left out."""
    columns = [column for column in _columns() if any(column[2](step.result.figures) != NOTHING for step in run.steps)]
    heads = [element("th", name, element("small", unit) if unit else None, scope="col") for name, unit, _ in columns]
    return _scrolling(
        element(
            "table",
            element(
                "thead",
                element(
                    "tr",
                    element("th", "step", scope="col"),
                    element("th", "at", scope="col"),
                    *heads,
                    element("th", "client", element("small", "of a processor"), scope="col"),
                ),
            ),
            element("tbody", *(_step_row(step, columns) for step in run.steps)),
        )
    )


def _step_row(step: Step, columns: Sequence[Column]) -> Markup:
    judged = mark(step)
    name = [load_label(step.result.load), element("small", f"{step.purpose}, {step.result.load.duration_s:g} s")]
    if judged:
        name.append(element("span", judged, class_=f"mark-{judged}", title=step.because))
    return element(
        "tr",
        element("th", *name, scope="row"),
        element("td", clock(step.starts_s)),
        *(element("td", cell(step.result.figures)) for _, _, cell in columns),
        _client_cell(step.result),
    )


def _client_cell(result: StepResult) -> Markup:
    client = result.client
    if client.reason is None:
        return element("td", share(client.cpu))
    return element("td", share(client.cpu), element("span", "saturated", class_="mark-missed", title=client.reason))


def errors_table(run: BenchRun) -> Markup | None:
    """Return how many requests failed and of what, with a text of each kind; None where none did.

    Unlike the figures it counts the warm-ups' failures too: what goes wrong there is wrong.
    """
    failed = [(step, record) for step in run.steps for record in step.result.records if record.error is not None]
    if not failed:
        return None
    counts = Counter(record.error for _, record in failed)
    rows = []
    for kind, count in counts.most_common():
        of_kind = [(step, record) for step, record in failed if record.error is kind]
        times = [step.starts_s + record.ended_s for step, record in of_kind]
        status = sorted({record.status for _, record in of_kind if record.status is not None})
        example = next((record.error_text for _, record in of_kind if record.error_text), NOTHING)
        rows.append(
            element(
                "tr",
                element("th", str(kind), scope="row"),
                element("td", f"{count:,}"),
                element("td", ", ".join(map(str, status)) or NOTHING),
                element("td", f"{clock(min(times))} – {clock(max(times))}"),
                element("td", example[:_LONGEST_TEXT], class_="said"),
            )
        )
    heads = ("kind", "requests", "status", "from – to")
    return _scrolling(
        element(
            "table",
            element(
                "thead",
                element(
                    "tr",
                    *(element("th", head, scope="col") for head in heads),
                    element("th", "the first one said", scope="col", class_="said"),
                ),
            ),
            element("tbody", *rows),
        )
    )


def facts(run: BenchRun) -> Markup:
    """Return what was measured, on what, and how."""
    subject = run.subject
    first = run.steps[0].result.load if run.steps else None
    mix = ", ".join(f"{kind} {weight:g}" for kind, weight in first.mix.items()) if first else None
    pairs = (
        ("URL", subject.url),
        ("deployment", subject.deployment),
        ("profile", subject.profile),
        ("model", subject.model),
        ("engine", subject.engine),
        ("image", subject.image_digest),
        ("service level", service_level(run) or "none"),
        ("workload", mix),
        ("data", str(first.data) if first and first.data else "the shipped lengths and prompts"),
        ("seed", str(run.seed)),
        ("began", moment(run.began_at)),
        ("took", clock(run.took_s)),
        ("load test", f"version {run.version}"),
        ("machine", run.machine),
        ("run", run.id),
    )
    return element(
        "dl",
        *(element("div", element("dt", name), element("dd", value)) for name, value in pairs if value is not None),
        class_="facts",
    )


def _scrolling(table: Markup) -> Markup:
    return element("div", table, class_="scroll", tabindex=0)
