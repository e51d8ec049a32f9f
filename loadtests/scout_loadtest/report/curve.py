"""Latency against throughput: what each load costs its users, and how much it gets done."""

from collections.abc import Iterator, Sequence

from scout_loadtest.bench_run import Step
from scout_loadtest.figures import Figures, Spread
from scout_loadtest.labels import load_label
from scout_loadtest.report.axis import Axis, linear_axis, log_axis
from scout_loadtest.report.markup import Markup, joined
from scout_loadtest.report.plot import (
    LETTER_PX,
    Frame,
    dots,
    frame_for,
    line,
    svg,
    text,
    titles,
    x_marks,
    y_grid,
)
from scout_loadtest.report.quantity import Quantity
from scout_loadtest.report.units import milliseconds, number
from scout_loadtest.step import Arrival

_HEIGHT = 300.0
_TOP = 26.0
# Where the largest value is that many times the smallest, a linear axis would lay the small ones flat.
_WIDE_RANGE = 15


def curve(steps: Sequence[Step], quantity: Quantity, *, width: float, in_tokens: bool) -> Markup:
    """Return the curve of one latency, p50 and p99.

    Args:
        steps: With this latency; at least one.
        in_tokens: Whether throughput is in output tokens or in answered requests.
    """
    spreads = [(step, spread) for step in steps if (spread := quantity.spread(step.result.figures)) is not None]
    target = quantity.target(steps[0].result.targets)
    values = [value for _, spread in spreads for value in (spread.p50, spread.p99)] + ([target] if target else [])
    frame = frame_for(width, _HEIGHT, ["000,000"], top=_TOP)
    y = latency_axis(values, frame)
    frame = frame_for(width, _HEIGHT, map(y.label, y.ticks), top=_TOP)
    x = linear_axis(
        max(_throughput(step.result.figures, in_tokens=in_tokens) for step, _ in spreads),
        frame.left,
        frame.right - 8,
        most=max(3, int(width / 80)),
    )
    unit = "output tokens/s" if in_tokens else "requests/s"
    return svg(
        width,
        _HEIGHT,
        f"{quantity.name} against throughput",
        y_grid(frame, y),
        x_marks(frame, x, x.label),
        titles(frame, f"throughput, {unit}", f"ms{' (log scale)' if y.is_log else ''}"),
        target_line(frame, y, target),
        *(_group(group, x, y, in_tokens=in_tokens) for group in _by_arrival(spreads)),
        _load_tags(spreads, x, y, frame, in_tokens=in_tokens),
    )


def latency_axis(values: Sequence[float], frame: Frame) -> Axis:
    """Return the axis for these milliseconds: logarithmic where they range widely."""
    positive = [value for value in values if value > 0]
    if positive and max(positive) / min(positive) > _WIDE_RANGE:
        return log_axis(min(positive), max(positive), frame.bottom, frame.top)
    return linear_axis(max(values, default=1.0), frame.bottom, frame.top)


def target_line(frame: Frame, axis: Axis, target: float | None) -> Markup:
    """Return the service level as a dashed line with its value."""
    if target is None:
        return Markup("")
    y = axis.at(target)
    return joined(
        [
            line([(frame.left, y), (frame.right, y)], "target"),
            text(frame.left + 4, y - 5 if y - 18 > frame.top else y + 14, f"target {target:g} ms", class_="target"),
        ]
    )


def _by_arrival(spreads: Sequence[tuple[Step, Spread]]) -> Iterator[list[tuple[Step, Spread]]]:
    """Loads of one kind make one line, the lightest first."""
    for arrival in Arrival:
        group = [(step, spread) for step, spread in spreads if step.result.load.arrival is arrival]
        if group:
            yield sorted(group, key=lambda one: one[0].result.load.users or one[0].result.load.rate or 0.0)


def _group(group: Sequence[tuple[Step, Spread]], x: Axis, y: Axis, *, in_tokens: bool) -> Markup:
    low = list(_points(group, x, y, "p50", in_tokens=in_tokens))
    high = list(_points(group, x, y, "p99", in_tokens=in_tokens))
    return joined(
        [
            line([point[:2] for point in high], "p99"),
            line([point[:2] for point in low], "p50"),
            dots(high, "p99", is_diamond=True),
            dots(low, "p50"),
        ]
    )


def _points(
    group: Sequence[tuple[Step, Spread]], x: Axis, y: Axis, name: str, *, in_tokens: bool
) -> Iterator[tuple[float, float, str]]:
    for step, spread in group:
        value = spread.p50 if name == "p50" else spread.p99
        throughput = _throughput(step.result.figures, in_tokens=in_tokens)
        says = f"{load_label(step.result.load)}: {name} {milliseconds(value)} at {number(throughput)}/s"
        yield x.at(throughput), y.at(value), says


def _load_tags(spreads: Sequence[tuple[Step, Spread]], x: Axis, y: Axis, frame: Frame, *, in_tokens: bool) -> Markup:
    """The loads beside their points, but for those that would lie on one another."""
    placed: list[tuple[float, float, float]] = []
    parts = []
    # The heaviest first: the end of the curve is where names matter.
    for step, spread in reversed(spreads):
        written = load_label(step.result.load).split(" ")[0]
        at_x, at_y = x.at(_throughput(step.result.figures, in_tokens=in_tokens)), y.at(spread.p99)
        half = LETTER_PX * len(written) / 2
        label_y = at_y - 10 if at_y - 20 > frame.top - 8 else at_y + 18
        if all(abs(at_x - other) > half + room + 3 or abs(label_y - other_y) > 13 for other, other_y, room in placed):
            placed.append((at_x, label_y, half))
            parts.append(text(at_x, label_y, written, anchor="middle", class_="tag"))
    return joined(parts)


def _throughput(figures: Figures, *, in_tokens: bool) -> float:
    return figures.output_tokens_per_s if in_tokens else figures.answered_per_s
