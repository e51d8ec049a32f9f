"""A container's log as lines with their times. Pure."""

import re
from dataclasses import dataclass

from scout_deploy.containers.observed import epoch_s

# A line without an end must not take memory without bound.
MAX_LINE_BYTES = 64 * 1024
# Docker keeps a longer line in pieces of this size, and stamps each of them (daemon/logger/copier.go: defaultBufSize).
_PIECE_BYTES = 16 * 1024
_INNER_STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z ")
# Engines colour their lines, and move the cursor, in a pipe too.
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """One line. `at_s` is Docker's time of it, seconds since the epoch; None where it wrote none."""

    text: str
    at_s: float | None


class LineSplitter:
    """Turns chunks of a log, as they come, into lines: the same ones, however the log was cut into chunks.

    A line of more than `MAX_LINE_BYTES` becomes several.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[LogLine]:
        """Return the lines that this chunk completes."""
        *whole, rest = (self._rest + chunk).split(b"\n")
        lines = [parse_line(piece) for line in whole for piece in _pieces(line)]
        *long, self._rest = _pieces(rest)
        return [*lines, *map(parse_line, long)]

    def end(self) -> list[LogLine]:
        """Return what is left when the log ended without a line's end."""
        rest, self._rest = self._rest, b""
        return [parse_line(rest)] if rest else []


def parse_line(raw: bytes) -> LogLine:
    """Part Docker's time stamp from the line, and take its colours away."""
    stamp, _, rest = raw.partition(b" ")
    at_s = epoch_s(stamp.decode("ascii", "replace")) if stamp.endswith(b"Z") else None
    content = raw if at_s is None else rest
    if len(content) > _PIECE_BYTES:
        content = _INNER_STAMP.sub(b"", content)
    return LogLine(text=_CONTROL.sub("", content.decode("utf-8", "replace").rstrip("\r")), at_s=at_s)


def parse_log(raw: bytes) -> list[LogLine]:
    """Return the lines of a whole log."""
    splitter = LineSplitter()
    return [*splitter.feed(raw), *splitter.end()]


def _pieces(line: bytes) -> list[bytes]:
    return [line[start : start + MAX_LINE_BYTES] for start in range(0, len(line), MAX_LINE_BYTES)] or [b""]
