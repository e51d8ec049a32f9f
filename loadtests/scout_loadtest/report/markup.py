"""HTML and SVG, in which no text can be taken for a tag."""

from collections.abc import Iterable
from html import escape

_VOID = frozenset({"meta"})  # never closed


class Markup(str):
    """Text that is HTML already; every other string is escaped where it is put in."""

    __slots__ = ()


def element(name: str, /, *children: str | None, **attributes: str | float | None) -> Markup:
    """Return an element.

    Args:
        name: Its tag.
        children: In their order; None is nothing.
        attributes: `class_` is `class`, and `stroke_width` is `stroke-width`; None leaves one out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = joined(child for child in children if child is not None)
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{inside}</{name}>")


def joined(parts: Iterable[str]) -> Markup:
    """Return parts one after the other, what is not HTML yet escaped."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts))


def _text(value: str | float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
