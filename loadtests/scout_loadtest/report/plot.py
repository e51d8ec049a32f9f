"""The parts that every plot is drawn with."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from scout_loadtest.report.axis import Axis
from scout_loadtest.report.markup import Markup, element, joined

# Of the font size that the style gives to all text in plots.
LETTER_PX = 6.4
_BELOW = 36.0

Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The rectangle in which values are drawn; what is around it is for text."""

    left: float
    right: float
    top: float
    bottom: float


@dataclass(frozen=True, kw_only=True)
class Tag:
    """A short text at a vertical line, to its left or to its right.

    Args:
        x: Where the line is.
    """

    x: float
    text: str
    class_: str
    is_left: bool

    @property
    def span(self) -> Point:
        """From where to where the text reaches."""
        reach = LETTER_PX * 1.08 * len(self.text) + 4
        return (self.x - reach, self.x) if self.is_left else (self.x, self.x + reach)


def svg(width: float, height: float, title: str, *parts: Markup) -> Markup:
    """Return a drawing that keeps its shape and never grows much beyond its size."""
    return element(
        "svg",
        element("title", title),
        *parts,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_label=title,
        style=f"max-width:{width * 1.25:g}px",
    )


def frame_for(width: float, height: float, labels: Iterable[str], *, top: float) -> Frame:
    """Return a frame that leaves room for the labels of its y axis."""
    left = 12 + LETTER_PX * max(map(len, labels), default=1)
    return Frame(left=left, right=width - 22, top=top, bottom=height - _BELOW)


def y_grid(frame: Frame, axis: Axis) -> Markup:
    """Return the lines of the y axis and their labels."""
    parts = []
    for tick in axis.ticks:
        y = axis.at(tick)
        parts.append(element("line", class_="grid", x1=frame.left, x2=frame.right, y1=y, y2=y))
        parts.append(text(frame.left - 6, y + 4, axis.label(tick), anchor="end"))
    return joined(parts)


def x_marks(frame: Frame, axis: Axis, label: Callable[[float], str]) -> Markup:
    """Return the base line, the ticks of the x axis and as many labels as have room."""
    parts = [element("line", class_="base", x1=frame.left, x2=frame.right, y1=frame.bottom, y2=frame.bottom)]
    taken = -1e9
    for tick in axis.ticks:
        x, shown = axis.at(tick), label(tick)
        half = LETTER_PX * len(shown) / 2
        parts.append(element("line", class_="base", x1=x, x2=x, y1=frame.bottom, y2=frame.bottom + 4))
        if x - half > taken:
            parts.append(text(x, frame.bottom + 17, shown, anchor="middle"))
            taken = x + half + LETTER_PX
    return joined(parts)


def titles(frame: Frame, x_title: str, y_title: str) -> Markup:
    """Return what the axes are called: the y axis above its end, where it is read without turning the head."""
    return joined(
        [
            text(0, 11, y_title, class_="axis"),
            text(frame.right, frame.bottom + 33, x_title, anchor="end", class_="axis"),
        ]
    )


def text(x: float, y: float, written: str, *, anchor: str | None = None, class_: str | None = None) -> Markup:
    """Return a text at a place."""
    return element("text", written, x=round(x, 1), y=round(y, 1), text_anchor=anchor, class_=class_)


def line(points: Sequence[Point], class_: str) -> Markup:
    """Return a line through points; nothing for fewer than two."""
    return element("path", class_=f"line {class_}", d=_path(points)) if len(points) > 1 else Markup("")


def stairs(edges: Sequence[float], heights: Sequence[float], base: float, class_: str) -> Markup:
    """Return an area with a flat top between each two edges, as one path."""
    moves = [f"M{edges[0]:.1f} {base:.1f}"]
    for height, edge in zip(heights, edges[1:], strict=True):
        moves.append(f"V{height:.1f}H{edge:.1f}")
    return element("path", class_=class_, d="".join([*moves, f"V{base:.1f}Z"]))


def dots(points: Iterable[tuple[float, float, str]], class_: str, *, is_diamond: bool = False) -> Markup:
    """Return a mark at each place, with what it says to who points at it."""
    shape = "M0 -5L5 0L0 5L-5 0Z" if is_diamond else "M-4 0A4 4 0 1 0 4 0A4 4 0 1 0 -4 0Z"
    return joined(
        element(
            "path", element("title", says), class_=f"dot {class_}", d=shape, transform=f"translate({x:.1f} {y:.1f})"
        )
        for x, y, says in points
    )


def crosses(points: Iterable[tuple[float, float, str]], class_: str) -> Markup:
    """Return a cross at each place."""
    return joined(
        element(
            "path",
            element("title", says),
            class_=f"cross {class_}",
            d="M-4 -4L4 4M4 -4L-4 4",
            transform=f"translate({x:.1f} {y:.1f})",
        )
        for x, y, says in points
    )


def rows_apart(tags: Sequence[Tag]) -> list[tuple[Tag, int]]:
    """Return each tag with a row in which it overlaps no other, and in which as few lines as can be run through it.

    A line begins in its tag's row and runs down through all that are below.
    """
    from_left = sorted(tags, key=lambda tag: tag.x)
    return min((_placed(from_left), _placed(from_left[::-1])), key=_crossings)


def _placed(tags: Sequence[Tag]) -> list[tuple[Tag, int]]:
    rows: list[list[Point]] = []
    placed = []
    for tag in tags:
        begins, ends = tag.span
        free = (at for at, row in enumerate(rows) if all(ends < left or right < begins for left, right in row))
        at = next(free, len(rows))
        if at == len(rows):
            rows.append([])
        rows[at].append(tag.span)
        placed.append((tag, at))
    return placed


def _crossings(placed: Sequence[tuple[Tag, int]]) -> int:
    return sum(
        upper <= lower and tag.span[0] < other.x < tag.span[1]
        for other, upper in placed
        for tag, lower in placed
        if tag is not other
    )


def within(x: float, written: str, low: float, high: float) -> float:
    """Return the nearest place at which a centred text stays inside."""
    half = LETTER_PX * len(written) / 2
    return max(low + half, min(x, high - half))


def inline_legend(right: float, y: float, entries: Sequence[tuple[str, str]]) -> Markup:
    """Return what each colour of a panel means, in a line that ends at `right`."""
    parts = []
    for class_, name in reversed(entries):
        left = right - LETTER_PX * len(name)
        parts.append(text(left, y, name))
        if "area" in class_:
            parts.append(element("rect", class_=class_, x=left - 19, y=y - 9, width=14, height=10))
        else:
            parts.append(line([(left - 21, y - 4), (left - 5, y - 4)], class_))
        right = left - 34
    return joined(parts)


def legend(*entries: tuple[str, str]) -> Markup:
    """Return what each colour means.

    Args:
        entries: A style's class and its name each; a class with "area" is drawn as one, "diamond" and "cross" as such.
    """
    return element(
        "ul",
        *(element("li", _sample(class_), element("span", name)) for class_, name in entries),
        class_="legend",
    )


def _sample(class_: str) -> Markup:
    if "area" in class_ or "gap" in class_:
        drawn = element("rect", class_=class_, x=2, y=1, width=18, height=10)
    elif "cross" in class_:
        drawn = crosses([(11, 6, "")], class_)
    elif "alone" in class_:
        drawn = dots([(11, 6, "")], class_)
    else:
        mark = dots([(11, 6, "")], class_, is_diamond="diamond" in class_) if "marked" in class_ else Markup("")
        drawn = joined([element("path", class_=f"line {class_}", d="M0 6H22"), mark])
    return element("svg", drawn, viewBox="0 0 22 12", width=22, height=12, aria_hidden="true")


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
