"""The whole run over time: what was answered, what waited, and when the server was away."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from scout_loadtest.bench_run import BenchRun, Sample
from scout_loadtest.labels import load_label
from scout_loadtest.report.axis import Axis, linear_axis, time_axis
from scout_loadtest.report.curve import latency_axis
from scout_loadtest.report.markup import Markup, element, joined
from scout_loadtest.report.moments import Moments, moments, tokens_per_s
from scout_loadtest.report.outage import absences, believed
from scout_loadtest.report.plot import (
    LETTER_PX,
    Frame,
    Point,
    inline_legend,
    line,
    stairs,
    svg,
    text,
    within,
    x_marks,
    y_grid,
)
from scout_loadtest.report.units import clock

_PANEL, _TITLE, _BETWEEN = 84.0, 20.0, 16.0
_BAND, _AWAY = 20.0, 18.0
_LEFT = 52.0


@dataclass(frozen=True, kw_only=True)
class _Panel:
    title: str
    legend: tuple[tuple[str, str], ...] = ()
    most: float
    draw: Callable[[Axis, Axis, float], Markup]
    axis: Callable[[Frame], Axis] | None = None


def timeline(run: BenchRun, *, width: float) -> Markup:
    """Return the run's time line, as wide as there is room for."""
    until_s = _until_s(run)
    seen = moments(run, until_s)
    panels = list(_panels(run, seen))
    left, right = _LEFT, width - 22
    x = time_axis(until_s, left, right, most=max(3, int(width / 75)))
    top = _BAND + _AWAY
    height = top + len(panels) * (_TITLE + _PANEL + _BETWEEN) + 24
    parts = [_steps(run, x), _away(believed(run), x, top=_BAND, bottom=height - 24 - _BETWEEN)]
    for at, panel in enumerate(panels):
        upper = top + at * (_TITLE + _PANEL + _BETWEEN) + _TITLE
        frame = Frame(left=left, right=right, top=upper, bottom=upper + _PANEL)
        y = panel.axis(frame) if panel.axis else linear_axis(panel.most, frame.bottom, frame.top, most=3)
        is_last = at == len(panels) - 1
        parts += [text(0, upper - 8, panel.title, class_="axis"), y_grid(frame, y), panel.draw(x, y, frame.bottom)]
        parts.append(inline_legend(right, upper - 8, panel.legend))
        parts.append(x_marks(frame, x, clock if is_last else lambda _: ""))
    return svg(width, height, "The run over time", *parts)


def has_ttft(run: BenchRun) -> bool:
    """Whether a first token was seen in the run."""
    return any(record.first_token_s is not None for step in run.steps for record in step.result.records)


def has_tokens(run: BenchRun) -> bool:
    """Whether the engines' counter of tokens was seen to rise."""
    return any(rate > 0 for _, rate in tokens_per_s(run.timeline, 1.0))


def has_server_load(run: BenchRun) -> bool:
    """Whether the server said how much it had in flight."""
    return any(sample.in_flight is not None for sample in run.timeline)


def _until_s(run: BenchRun) -> float:
    ends = [step.starts_s + step.result.took_s for step in run.steps] + [sample.at_s for sample in run.timeline]
    return max([run.took_s, *ends, 1.0])


def _panels(run: BenchRun, seen: Moments) -> Iterator[_Panel]:
    yield _Panel(
        title="requests/s",
        legend=(("area answered", "answered"), ("area failed", "failed")),
        most=max(*seen.answered_per_s, *seen.failed_per_s),
        draw=lambda x, y, base: joined(
            [
                stairs(
                    [x.at(edge) for edge in seen.edges_s],
                    [y.at(one) for one in seen.answered_per_s],
                    base,
                    "area answered",
                ),
                stairs(
                    [x.at(edge) for edge in seen.edges_s], [y.at(one) for one in seen.failed_per_s], base, "area failed"
                ),
            ]
        ),
    )
    if has_server_load(run):
        flying = _known(run.timeline, lambda sample: sample.in_flight)
        waiting = _known(run.timeline, lambda sample: sample.waiting)
    else:
        middles = [edge + seen.width_s / 2 for edge in seen.edges_s]
        flying, waiting = [list(zip(middles, map(float, seen.in_flight), strict=False))], []
    yield _Panel(
        title="requests at the server" if has_server_load(run) else "requests in flight",
        legend=(("in-flight", "in flight"), ("waiting", "waiting")) if has_server_load(run) else (),
        most=max((value for run_of in (*flying, *waiting) for _, value in run_of), default=1.0),
        draw=lambda x, y, _: joined([*_lines(flying, x, y, "in-flight"), *_lines(waiting, x, y, "waiting")]),
    )
    if has_ttft(run):
        known = [(edge + seen.width_s / 2, pair) for edge, pair in zip(seen.edges_s, seen.ttft_ms, strict=False)]
        middle = _runs_of((at, None if pair is None else pair[0]) for at, pair in known)
        worst = _runs_of((at, None if pair is None else pair[1]) for at, pair in known)
        values = [value for one in (*middle, *worst) for _, value in one]
        yield _Panel(
            title="time to first token, ms",
            legend=(("p50", "median"), ("p99", "worst")),
            most=0,
            axis=lambda frame: _few_ticks(latency_axis(values, frame)),
            draw=lambda x, y, _: joined([*_lines(worst, x, y, "p99"), *_lines(middle, x, y, "p50")]),
        )
    if has_tokens(run):
        rates = tokens_per_s(run.timeline, seen.width_s)
        apart = 3 * max(seen.width_s, 1.0)
        yield _Panel(
            title="output tokens/s, as the engines count",
            most=max(rate for _, rate in rates),
            draw=lambda x, y, _: joined(_lines(_split(rates, apart), x, y, "tokens")),
        )


def _few_ticks(axis: Axis) -> Axis:
    """A panel is low: every other tick of a full one has room."""
    if len(axis.ticks) <= 4:
        return axis
    return Axis(low=axis.low, high=axis.high, start=axis.start, end=axis.end, ticks=axis.ticks[::2], is_log=axis.is_log)


def _known(timeline: Sequence[Sample], value: Callable[[Sample], int | None]) -> list[list[Point]]:
    return _runs_of((sample.at_s, value(sample)) for sample in timeline)


def _runs_of(values: Iterator[tuple[float, float | None]]) -> list[list[Point]]:
    """The stretches without a gap."""
    runs: list[list[Point]] = [[]]
    for at, value in values:
        if value is None:
            runs.append([])
        else:
            runs[-1].append((at, float(value)))
    return [run for run in runs if run]


def _split(points: Sequence[Point], apart_s: float) -> list[list[Point]]:
    runs: list[list[Point]] = []
    for point in points:
        if not runs or point[0] - runs[-1][-1][0] > apart_s:
            runs.append([])
        runs[-1].append(point)
    return runs


def _lines(runs: Sequence[Sequence[Point]], x: Axis, y: Axis, class_: str) -> list[Markup]:
    """A stretch of one point is drawn as a short line, or it would not be seen."""
    drawn = []
    for run in runs:
        points = [(x.at(at), y.at(value)) for at, value in run]
        if len(points) == 1:
            points = [(points[0][0] - 2, points[0][1]), (points[0][0] + 2, points[0][1])]
        drawn.append(line(points, class_))
    return drawn


def _steps(run: BenchRun, x: Axis) -> Markup:
    """Which load was held when, as a band above the panels; its name where it has room, else its number."""
    parts = []
    for at, step in enumerate(run.steps):
        begins, ends = x.at(step.starts_s), x.at(step.starts_s + step.result.took_s)
        room = ends - begins
        name = load_label(step.result.load)
        options = (name, name.split(" ")[0], "")
        shown = next(option for option in options if LETTER_PX * len(option) + 6 <= room or not option)
        parts.append(
            element(
                "rect",
                element("title", f"step {at + 1}: {step.purpose}, {name}"),
                class_=f"step {step.purpose if step.purpose in {'curve', 'search', 'gate'} else ''}",
                x=begins,
                y=0,
                width=max(1.0, room - 1),
                height=16,
                rx=2,
            )
        )
        if shown:
            parts.append(text((begins + ends) / 2, 12, shown, anchor="middle", class_="on-band"))
    return joined(parts)


def _away(samples: Sequence[Sample], x: Axis, *, top: float, bottom: float) -> Markup:
    parts = []
    free_from = 0.0
    for begins_s, ends_s, what in absences(samples):
        begins, ends = x.at(begins_s), max(x.at(ends_s), x.at(begins_s) + 2)
        parts.append(
            element(
                "rect",
                element("title", f"no {what} from {clock(begins_s)} to {clock(ends_s)}"),
                class_=f"gap {what}-gap",
                x=begins,
                y=top,
                width=ends - begins,
                height=bottom - top,
            )
        )
        written = f"no {what}"
        here = within((begins + ends) / 2, written, x.start, x.end)
        half = LETTER_PX * len(written) / 2
        if here - half > free_from:
            parts.append(text(here, top + 13, written, anchor="middle", class_="bad"))
            free_from = here + half + 4
    return joined(parts)
