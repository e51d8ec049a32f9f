"""One command at a time fetches a model: the next one waits, and finds the work done."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from scout_deploy.file_lock import FileLock, LockHeldError
from scout_deploy.weights.failures import DownloadCancelledError

_ANOTHER = "another command"


@contextlib.contextmanager
def turn(lock: Path, *, waiting: Callable[[str], None], cancelled: threading.Event, every_s: float) -> Iterator[None]:
    """Wait for this command's turn, and keep it; a killed holder's turn ends with it.

    A cache that nobody may write, or whose file system knows no locks, gives everybody a turn.

    Args:
        waiting: Told, again and again, who has it.
        cancelled: Ends the wait.
    """
    with contextlib.ExitStack() as stack:
        while True:
            try:
                lock.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(FileLock(lock, f"process {os.getpid()}"))
            except LockHeldError as exc:
                waiting(exc.holder or _ANOTHER)
            except OSError:
                break
            else:
                break
            if cancelled.wait(every_s):
                raise DownloadCancelledError
        yield
