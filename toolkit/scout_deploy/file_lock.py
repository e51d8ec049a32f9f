"""An advisory lock on a file, held by one process and freed by the kernel however that process ends."""

import contextlib
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class LockHeldError(Exception):
    """Another process holds the lock; `holder` is the line that it left in the file, such as its pid."""

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(f"{path} is held by {holder or 'another process'}")
        self.holder = holder


class FileLock:
    """Hold `path` for as long as the context lasts; does not wait.

    The file stays after release: unlinking it would let two processes lock two different files of one name.

    Args:
        note: One line for whoever finds the lock held.

    Raises:
        LockHeldError: On entering, somebody else holds it.
        OSError: On entering, the file cannot be made.
    """

    def __init__(self, path: Path, note: str) -> None:
        self._path = path
        self._note = note
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            os.close(descriptor)
            raise LockHeldError(self._path, self._path.read_text(encoding="utf-8").strip()) from exc
        # The note is a courtesy: a full disk must not keep anybody from taking a deployment down.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{self._note}\n".encode())
        self._descriptor = descriptor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
