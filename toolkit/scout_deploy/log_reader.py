"""Reading a log that grows and rotates under the reader."""

import time
from pathlib import Path

from scout_deploy.rotating_log import rotated

_BLOCK_BYTES = 65_536
_POLL_S = 0.2


def last_lines(path: Path, count: int) -> tuple[str, ...]:
    """Return the last lines of a log, the newest last; its rotated part is read too where the newest has too few."""
    if count == 0:
        return ()
    lines: list[str] = []
    for file in (path, rotated(path, 1)):
        if len(lines) < count:
            lines = [*_tail(file, count - len(lines)), *lines]
    return tuple(lines)


def _tail(path: Path, count: int) -> list[str]:
    try:
        with path.open("rb") as file:
            position = file.seek(0, 2)
            block = b""
            while position > 0 and block.count(b"\n") <= count:
                step = min(_BLOCK_BYTES, position)
                position = file.seek(position - step)
                block = file.read(step) + block
    except FileNotFoundError:
        return []
    return block.decode("utf-8", "replace").splitlines()[-count:]


class LogFollower:
    """Yields what is appended to a log after the follower was made, across rotations.

    A line that is still being written is held back until its end has come.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode, self._offset = self._end()
        self._rest = ""

    def new_lines(self) -> tuple[str, ...]:
        """Return the lines since the last call. Does not block."""
        inode, _ = self._end()
        text = ""
        if inode != self._inode:
            old = rotated(self._path, 1)
            if self._inode is not None and old.exists() and old.stat().st_ino == self._inode:
                text = self._read(old)
            self._inode, self._offset = inode, 0
        text = self._rest + text + self._read(self._path)
        *lines, self._rest = text.split("\n")
        return tuple(lines)

    @staticmethod
    def wait() -> None:
        """Pause until it is worth looking again."""
        time.sleep(_POLL_S)

    def _end(self) -> tuple[int | None, int]:
        try:
            seen = self._path.stat()
        except FileNotFoundError:
            return None, 0
        return seen.st_ino, seen.st_size

    def _read(self, path: Path) -> str:
        try:
            with path.open("rb") as file:
                file.seek(self._offset)
                raw = file.read()
        except FileNotFoundError:
            return ""
        self._offset += len(raw)
        return raw.decode("utf-8", "replace")
