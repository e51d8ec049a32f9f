"""How one latency is distributed in one step."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10, sqrt

from scout_loadtest.bench_run import Step
from scout_loadtest.report.axis import Axis, linear_axis, log_axis
from scout_loadtest.report.markup import Markup, joined
from scout_loadtest.report.plot import (
    Frame,
    Tag,
    frame_for,
    line,
    rows_apart,
    stairs,
    svg,
    text,
    titles,
    x_marks,
    y_grid,
)
from scout_loadtest.report.quantity import Quantity
from scout_loadtest.report.units import milliseconds

_WIDTH, _HEIGHT = 380.0, 250.0
_TITLE = 16.0
_ROW = 14.0
_FEWEST_BINS, _MOST_BINS = 8, 40
# A tail this long leaves a linear axis empty.
_WIDE_RANGE = 12


@dataclass(frozen=True, kw_only=True)
class Bins:
    """Counts between edges, of which there is one more; evenly apart, or evenly apart as logarithms."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    is_log: bool


def histogram(step: Step, quantity: Quantity) -> Markup | None:
    """Return the distribution of a latency, with p50, p99 and the target marked; None where there is no value."""
    good = (record for record in step.result.records if record.error is None and not record.is_warm_up)
    values = [value for record in good if (value := quantity.of_record(record)) is not None and value > 0]
    spread = quantity.spread(step.result.figures)
    if not values or spread is None:
        return None
    target = quantity.target(step.result.targets)
    bins = binned(values)
    tags = [("p50", spread.p50), ("p99", spread.p99)]
    # A target far beyond all values would press them together: the plot says where it is instead.
    is_near = target is not None and target <= 2 * bins.edges[-1]
    if target is not None and is_near:
        tags.append(("target", target))
    highest = max(bins.edges[-1], *(value for _, value in tags))
    y = linear_axis(max(bins.counts), 0, 1, most=4, is_count=True)
    top = _TITLE + 3 * _ROW
    frame = frame_for(_WIDTH, _HEIGHT, [f"{tick:,.0f}" for tick in y.ticks], top=top)
    y = linear_axis(max(bins.counts), frame.bottom, frame.top, most=4, is_count=True)
    x = _x_axis(bins, highest, frame)
    edges = [x.at(edge) for edge in bins.edges]
    beyond = f"; target {milliseconds(target)}, beyond" if target is not None and not is_near else ""
    return svg(
        _WIDTH,
        _HEIGHT,
        f"{quantity.name} of {spread.count:,} requests",
        y_grid(frame, y),
        stairs(edges, [y.at(number) for number in bins.counts], frame.bottom, "area bars"),
        x_marks(frame, x, x.label),
        titles(frame, f"ms{' (log scale)' if bins.is_log else ''}{beyond}", "requests"),
        _marks(tags, x, frame),
    )


def binned(values: Sequence[float]) -> Bins:
    """Sort values, all above zero, into bins: more for more values, logarithmic where they range widely."""
    low, high = min(values), max(values)
    number = max(_FEWEST_BINS, min(_MOST_BINS, round(2 * sqrt(len(values)))))
    is_log = high / low > _WIDE_RANGE
    if high == low:
        low, high = low * 0.95, high * 1.05
    if is_log:
        ratio = high / low
        edges = [low * ratio ** (at / number) for at in range(number + 1)]
    else:
        edges = [low + (high - low) * at / number for at in range(number + 1)]
    counts = [0] * number
    for value in values:
        part = log10(value / low) / log10(high / low) if is_log else (value - low) / (high - low)
        counts[min(number - 1, int(part * number))] += 1
    return Bins(edges=tuple(edges), counts=tuple(counts), is_log=is_log)


def _x_axis(bins: Bins, highest: float, frame: Frame) -> Axis:
    if bins.is_log:
        return log_axis(bins.edges[0], highest, frame.left, frame.right)
    return linear_axis(highest, frame.left, frame.right)


def _marks(tags: Sequence[tuple[str, float]], x: Axis, frame: Frame) -> Markup:
    """Each with its value above the plot, in rows so that none lies on another."""
    lines, texts = [], []
    for tag, row in rows_apart([_tag(name, value, x, frame, is_lowest=name == "p50") for name, value in tags]):
        baseline = _TITLE + _ROW * (row + 1) - 3
        lines.append(line([(tag.x, baseline - 8), (tag.x, frame.bottom)], f"mark {tag.class_}"))
        at, anchor = (tag.x - 4, "end") if tag.is_left else (tag.x + 4, "start")
        texts.append(text(at, baseline, tag.text, anchor=anchor, class_=tag.class_))
    return joined([*lines, *texts])


def _tag(name: str, value: float, x: Axis, frame: Frame, *, is_lowest: bool) -> Tag:
    """Outside of what lies between p50 and p99, where there is room for it."""
    at, written = x.at(value), f"{name} {milliseconds(value)}"
    left, right = (Tag(x=at, text=written, class_=name, is_left=is_left) for is_left in (True, False))
    if is_lowest:
        return left if left.span[0] >= frame.left - 20 else right
    return right if right.span[1] <= frame.right + 20 else left
