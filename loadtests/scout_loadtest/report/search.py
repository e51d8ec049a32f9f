"""The search for the highest rate: what was tried, what held, what did not."""

from collections.abc import Sequence

from scout_loadtest.bench_run import Step
from scout_loadtest.figures import Spread
from scout_loadtest.report.axis import linear_axis
from scout_loadtest.report.curve import latency_axis, target_line
from scout_loadtest.report.markup import Markup
from scout_loadtest.report.plot import crosses, dots, frame_for, svg, titles, x_marks, y_grid
from scout_loadtest.report.quantity import Quantity
from scout_loadtest.report.units import milliseconds, number
from scout_loadtest.spread import percentile

_HEIGHT = 260.0


def search_plot(steps: Sequence[Step], quantity: Quantity, percent: float, *, width: float) -> Markup:
    """Return each rate that was tried with the latency that it was judged by.

    Args:
        steps: Of the search, with this latency; at least one.
        percent: The service level's percentile.
    """
    tried = [
        (step, step.result.load.rate or 0.0, judged_ms(step, spread, quantity, percent))
        for step in steps
        if (spread := quantity.spread(step.result.figures)) is not None
    ]
    target = quantity.target(steps[0].result.targets)
    values = [value for _, _, value in tried] + ([target] if target else [])
    y = latency_axis(values, frame_for(width, _HEIGHT, [], top=26))
    frame = frame_for(width, _HEIGHT, map(y.label, y.ticks), top=26)
    x = linear_axis(max(rate for _, rate, _ in tried), frame.left, frame.right - 8, most=max(3, int(width / 80)))

    def marks(*, holds: bool) -> list[tuple[float, float, str]]:
        return [
            (
                x.at(rate),
                y.at(value),
                f"{number(rate)}/s: {milliseconds(value)}{f', {step.because}' if step.because else ''}",
            )
            for step, rate, value in tried
            if bool(step.holds) is holds
        ]

    return svg(
        width,
        _HEIGHT,
        f"{quantity.name} p{percent:g} of each rate that was tried",
        y_grid(frame, y),
        x_marks(frame, x, x.label),
        titles(frame, "offered, requests/s", f"{quantity.short} p{percent:g}, ms{' (log scale)' if y.is_log else ''}"),
        target_line(frame, y, target),
        dots(marks(holds=True), "held"),
        crosses(marks(holds=False), "missed"),
    )


def judged_ms(step: Step, spread: Spread, quantity: Quantity, percent: float) -> float:
    """Return the percentile of a latency: the figure where there is one, else from the records."""
    figures = {50: spread.p50, 90: spread.p90, 95: spread.p95, 99: spread.p99}
    if percent in figures:
        return figures[int(percent)]
    good = (record for record in step.result.records if record.error is None and not record.is_warm_up)
    values = sorted(value for record in good if (value := quantity.of_record(record)) is not None)
    return percentile(values, percent) if values else spread.max
