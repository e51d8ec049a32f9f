"""A log file that never outgrows its bound and never stops the program that writes it."""

import os
from collections import deque
from pathlib import Path

DEFAULT_MAX_BYTES = 5_000_000
DEFAULT_KEEP = 3


class RotatingLog:
    """Append lines to `path`; a full file moves to `path.1`, that to `path.2`, up to `keep`.

    A disk that is full, or a directory that went away, loses lines and nothing else: how many is written once
    there is room again. The last lines stay in memory whatever the disk does, for the evidence of a failure.

    Args:
        max_bytes: Of one file, so the disk holds at most `max_bytes * (keep + 1)`.
    """

    def __init__(self, path: Path, *, max_bytes: int = DEFAULT_MAX_BYTES, keep: int = DEFAULT_KEEP) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._lost = 0
        self._tail: deque[str] = deque(maxlen=200)

    def write_line(self, line: str) -> None:
        """Append one line; a line longer than a whole file is cut."""
        self._tail.append(line)
        try:
            if self._lost:
                self._append(f"({self._lost} lines lost: the log could not be written)")
                self._lost = 0
            self._append(line)
        except OSError:
            self._lost += 1

    def tail(self, count: int) -> tuple[str, ...]:
        """Return up to `count` (at most 200) of the last lines, the newest last."""
        return tuple(self._tail)[-count:]

    def _append(self, line: str) -> None:
        encoded = line.encode("utf-8", "backslashreplace")[: self._max_bytes - 1] + b"\n"
        if self._size() + len(encoded) > self._max_bytes:
            self._rotate()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, encoded)
        finally:
            os.close(descriptor)

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def _rotate(self) -> None:
        for number in range(self._keep, 0, -1):
            source = self._path if number == 1 else rotated(self._path, number - 1)
            if source.exists():
                source.replace(rotated(self._path, number))


def rotated(path: Path, number: int) -> Path:
    """Return the name of the file that was full `number` rotations ago."""
    return path.with_name(f"{path.name}.{number}")
