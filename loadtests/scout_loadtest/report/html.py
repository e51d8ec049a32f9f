"""The report: one HTML file that needs nothing beside it."""

from collections.abc import Iterator, Sequence
from importlib.resources import files

from scout_loadtest.bench_run import BenchRun, Step
from scout_loadtest.figures import Targets
from scout_loadtest.labels import load_label
from scout_loadtest.report.curve import curve
from scout_loadtest.report.histogram import histogram
from scout_loadtest.report.markup import Markup, element, joined
from scout_loadtest.report.outage import absences, believed
from scout_loadtest.report.plot import legend
from scout_loadtest.report.quantity import QUANTITIES, Quantity
from scout_loadtest.report.search import search_plot
from scout_loadtest.report.tables import errors_table, facts, steps_table
from scout_loadtest.report.telling import has_output_tokens, telling_step
from scout_loadtest.report.tiles import tiles, tiles_title
from scout_loadtest.report.timeline import timeline
from scout_loadtest.report.units import counted, moment
from scout_loadtest.report.verdict import verdict_of

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_WIDE, _NARROW = 1088.0, 372.0
_HALF = 532.0
# More would make the file large; the JSON beside it has every record.
_MOST_HISTOGRAMS = 24
_FEWEST_POINTS = 2  # of a curve


def report_html(run: BenchRun) -> str:
    """Return the report of a run: its verdict, its key figures, its plots, its tables.

    Its size depends on how many steps there are and hardly on how many requests: plots show bins.
    """
    verdict = verdict_of(run)
    telling = telling_step(run)
    body = [_header(run, verdict.sentence, verdict.tone, verdict.warnings)]
    if telling is not None:
        body += [
            _section("Key figures", tiles_title(telling), tiles(run, telling)),
            *_search_section(run),
            *_curve_section(run),
            _distribution_section(run, telling),
            _timeline_section(run),
            _section(
                "Steps",
                "p50, p90, p99 and the largest of each latency, without the warm-up. The table scrolls sideways.",
                steps_table(run),
            ),
        ]
    errors = errors_table(run)
    if errors is not None:
        body.append(_section("What failed", "The warm-ups' failures included.", errors))
    body += [_section("What was measured", None, facts(run)), _terms()]
    title = f"Load test of {run.subject.model or run.subject.url}, {moment(run.began_at)}"
    return "<!DOCTYPE html>\n" + element(
        "html",
        element(
            "head",
            element("meta", charset="utf-8"),
            # Nothing is fetched from anywhere, and nothing in the file runs.
            element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
            element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name_="color-scheme", content="light dark"),
            element("title", title),
            element("style", Markup(_style())),
        ),
        element("body", element("main", *body)),
        lang="en",
    )


def _style() -> str:
    return files("scout_loadtest.report").joinpath("report.css").read_text(encoding="utf-8")


def _header(run: BenchRun, sentence: str, tone: str, warnings: Sequence[str]) -> Markup:
    subject = run.subject
    about = [subject.deployment, subject.profile, subject.model or subject.url, moment(run.began_at)]
    return element(
        "header",
        element("p", "Load test", element("span", " · ".join(part for part in about if part)), class_="about"),
        element("h1", sentence, class_=tone),
        *(element("p", warning, class_="warning", role="alert") for warning in warnings),
    )


def _section(title: str, note: str | None, *content: Markup) -> Markup:
    return element("section", element("h2", title), element("p", note, class_="note") if note else None, *content)


def _figure(caption: str, *drawn: Markup) -> Markup:
    return element("figure", element("figcaption", caption), *drawn)


def _both(wide: Markup, narrow: Markup) -> Markup:
    """The same for a wide page and for a narrow one: text that is scaled down cannot be read."""
    return joined([element("div", wide, class_="wide"), element("div", narrow, class_="narrow")])


def _target_entry(run: BenchRun) -> list[tuple[str, str]]:
    return [("target", "target")] if run.targets != Targets() else []


def _having(steps: Sequence[Step], quantity: Quantity) -> list[Step]:
    return [step for step in steps if quantity.spread(step.result.figures) is not None]


def _search_section(run: BenchRun) -> Iterator[Markup]:
    steps = [step for step in run.steps if step.purpose == "search"]
    bound = [one for one in QUANTITIES if one.target(run.targets) is not None and _having(steps, one)]
    if not bound:
        return
    yield _section(
        "Search for the highest rate",
        None,
        legend(("held dot alone", "held the service level"), ("missed cross", "missed it"), ("target", "target")),
        element(
            "div",
            *(
                _figure(
                    one.name,
                    _both(
                        search_plot(_having(steps, one), one, run.percentile, width=_HALF),
                        search_plot(_having(steps, one), one, run.percentile, width=_NARROW),
                    ),
                )
                for one in bound
            ),
            class_="halves",
        ),
    )


def _curve_section(run: BenchRun) -> Iterator[Markup]:
    steps = [step for step in run.steps if step.purpose == "curve"]
    in_tokens = has_output_tokens(run)
    shown = [one for one in QUANTITIES if _having(steps, one)]
    # The first two say it; end to end is for answers that are not streamed.
    shown = shown[:2]
    if len(steps) < _FEWEST_POINTS or not shown:
        return
    are_users = all(step.result.load.users for step in steps)
    yield _section(
        "Latency against throughput",
        f"The numbers at the points are {'users at once' if are_users else 'the loads: users at once, or requests/s'}.",
        legend(("p50 marked", "p50"), ("p99 marked diamond", "p99"), *_target_entry(run)),
        element(
            "div",
            *(
                _figure(
                    one.name,
                    _both(
                        curve(_having(steps, one), one, width=_HALF, in_tokens=in_tokens),
                        curve(_having(steps, one), one, width=_NARROW, in_tokens=in_tokens),
                    ),
                )
                for one in shown
            ),
            class_="halves",
        ),
    )


def _distribution_section(run: BenchRun, telling: Step) -> Markup:
    others = [step for step in run.steps if step is not telling]
    return _section(
        "Latency distribution",
        f"Of the requests that succeeded with {load_label(telling.result.load)}.",
        legend(("p50", "p50"), ("p99", "p99"), *_target_entry(run)),
        _histograms(telling),
        _others(others),
    )


def _others(steps: Sequence[Step]) -> Markup:
    """The same of the other steps, for who asks."""
    if not steps:
        return Markup("")
    left_out = len(steps) - _MOST_HISTOGRAMS
    more = f"And {counted(left_out, 'step')} more, in the JSON alone."
    return element(
        "details",
        element("summary", f"The other {counted(len(steps), 'step')}"),
        *(
            joined([element("h3", f"{load_label(step.result.load)}, {step.purpose}"), _histograms(step)])
            for step in steps[:_MOST_HISTOGRAMS]
        ),
        element("p", more, class_="note") if left_out > 0 else None,
    )


def _histograms(step: Step) -> Markup:
    drawn = [_figure(one.name, plot) for one in QUANTITIES if (plot := histogram(step, one)) is not None]
    return element("div", *drawn, class_="thirds") if drawn else element("p", "No request succeeded.", class_="note")


def _timeline_section(run: BenchRun) -> Markup:
    gaps = [("gap proxy-gap", "proxy does not answer"), ("gap engine-gap", "no engine serves")]
    return _section(
        "The run over time",
        "Minutes and seconds since the run began, the warm-ups included. The band on top names the loads.",
        legend(*gaps) if any(absences(believed(run))) else Markup(""),
        _both(timeline(run, width=_WIDE), timeline(run, width=_NARROW)),
    )


def _terms() -> Markup:
    terms = (
        ("TTFT", "time to first token, from when the request was due: a late client hides nothing"),
        ("TPOT", "time per output token after the first"),
        ("goodput", "share of all requests that succeeded within the service level"),
        ("p99", "the smallest value that 99 % of all do not exceed; of fewer than 100 it is the largest"),
    )
    return element("footer", *(element("p", element("b", name), f" {meaning}.") for name, meaning in terms))
