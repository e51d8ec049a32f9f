"""Finds what shows a cause: the first line of a log, or the daemon's word, that says so."""

import itertools
import re
from collections.abc import Callable

from scout_deploy.diagnosis.death import Death
from scout_deploy.diagnosis.signature import Evidence

MAX_LINE = 400
_LEAD = 80
_LAST_LINES = 12
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
# Engines print tracebacks in boxes that quote source code, with the errors that it could have raised but did not.
_BOX = re.compile("[│╭╰]")

Matcher = Callable[[Death], Evidence | None]


def in_log(pattern: str) -> Matcher:
    """Return a matcher of the first log line that has `pattern`, also where the engine broke it in two."""
    compiled = re.compile(pattern)

    def match(death: Death) -> Evidence | None:
        lines = log_lines(death)
        for line in lines:
            if found := compiled.search(line):
                return (shortened(line, found),)
        for line, following in itertools.pairwise(lines):
            if compiled.search(f"{line.rstrip()} {following.lstrip()}"):
                return (line[:MAX_LINE], following[:MAX_LINE])
        return None

    return match


def in_error(pattern: str) -> Matcher:
    """Return a matcher of what the daemon said."""
    compiled = re.compile(pattern)

    def match(death: Death) -> Evidence | None:
        said = " ".join(death.error.split())
        found = compiled.search(said)
        return (shortened(said, found),) if found else None

    return match


def either(*matchers: Matcher) -> Matcher:
    """Return a matcher of whatever the first of them finds."""

    def match(death: Death) -> Evidence | None:
        for one in matchers:
            if (found := one(death)) is not None:
                return found
        return None

    return match


def with_signal(number: int) -> Matcher:
    """Return a matcher of a main process that a signal ended."""

    def match(death: Death) -> Evidence | None:
        return (f"exit status {death.exit_code}: signal {number}",) if death.signal == number else None

    return match


def log_lines(death: Death) -> tuple[str, ...]:
    """Return the log without colours, blank lines and quoted source code."""
    plain = (_ANSI.sub("", line).rstrip() for line in death.lines)
    return tuple(line for line in plain if line.strip() and not _BOX.search(line))


def last_lines(death: Death) -> tuple[str, ...]:
    """Return the end of the log, to show where nothing is recognised."""
    plain = (_ANSI.sub("", line).rstrip()[:MAX_LINE] for line in death.lines)
    return tuple(line for line in plain if line.strip())[-_LAST_LINES:]


def shortened(line: str, found: re.Match[str] | None) -> str:
    """Return a line, or of a very long one the part around what was found."""
    if len(line) <= MAX_LINE or found is None:
        return line[:MAX_LINE]
    start = max(0, found.start() - _LEAD)
    part = line[start : start + MAX_LINE]
    return ("…" if start else "") + part + ("…" if start + MAX_LINE < len(line) else "")
