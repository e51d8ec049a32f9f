"""What is wrong with a profile, and where: the lines that a user reads."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from scout_deploy.errors import ProfileError

_LONGEST_VALUE = 80
_MOST_KEYS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a value was written.

    Args:
        source: The file as the user named it, or `--set`.
        line: Counted from 1; None where there are no lines.
        directory: Where relative paths in the value start.
    """

    source: str
    line: int | None
    directory: Path

    def at(self, line: int) -> Self:
        """Return another line of the same source; the same place where there are no lines."""
        return self if self.line is None else replace(self, line=line)

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing to mend. Neither `got` nor `expected` ever holds the value of an environment variable."""

    place: Place
    key: tuple[str, ...]
    got: str
    expected: str
    hint: str | None = None

    def __str__(self) -> str:
        hint = "" if self.hint is None else f"; {self.hint}"
        key = "/".join(step if _is_short_line(step) else shown(step) for step in self.key)
        return f"{self.place}: {key or '(root)'}: got {self.got}, expected {self.expected}{hint}"


def profile_error(problems: Iterable[Problem]) -> ProfileError:
    """Return the error that states every problem once, a line each, in the order of the files."""
    ordered = sorted(problems, key=lambda problem: (problem.place.source, problem.place.line or 0))
    return ProfileError(
        "\n".join(dict.fromkeys(map(str, ordered))),
        next_step="`scout-deploy profiles show example` lists every key and its default.",
    )


def _is_short_line(text: str) -> bool:
    return text.isprintable() and len(text) <= _LONGEST_VALUE


def shown(value: object) -> str:
    """Return a value as a message shows it: short, and with its kind where that helps."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return f"a mapping with the keys {', '.join(map(repr, list(value)[:_MOST_KEYS]))}" if value else "{}"
    if isinstance(value, list | tuple):
        return "a list" if value else "[]"
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 4]}...'"
