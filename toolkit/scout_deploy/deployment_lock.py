"""One command at a time changes a deployment, whichever runtime it belongs to."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from scout_deploy.deployment_store import unusable
from scout_deploy.errors import DeploymentBusyError
from scout_deploy.file_lock import FileLock, LockHeldError

_LOOKERS = 5
_INSTANT_S = 0.05


@contextlib.contextmanager
def changing(folder: Path, name: str, command: str) -> Iterator[None]:
    """Keep every other command of this user from changing this deployment meanwhile.

    Args:
        folder: Where the locks lie: beside the deployments' own folders, which go away with `down`.

    Raises:
        DeploymentBusyError: Another command is changing it now.
        StateError: The state directory cannot be written.
    """
    lock = FileLock(_path(folder, name), f"scout-deploy {command} (pid {os.getpid()})")
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _enter(stack, lock)
        except LockHeldError as exc:
            raise DeploymentBusyError(
                f"deployment '{name}' is being changed by {exc.holder or 'another command'}",
                next_step="wait for it, or end it with Ctrl-C in its terminal",
            ) from exc
        except OSError as exc:
            raise unusable(folder, exc) from exc
        yield


def _enter(stack: contextlib.ExitStack, lock: FileLock) -> None:
    """Take the lock; whoever only looks at it, as `holder_of`, has it for an instant and leaves no name."""
    for _ in range(_LOOKERS):
        try:
            stack.enter_context(lock)
        except LockHeldError as exc:
            if exc.holder:
                raise
            time.sleep(_INSTANT_S)
            continue
        return
    stack.enter_context(lock)


def holder_of(folder: Path, name: str) -> str | None:
    """Return the command that changes this deployment now; None where none does, or it cannot be told."""
    try:
        with FileLock(_path(folder, name), ""):
            return None
    except LockHeldError as exc:
        return exc.holder or "another command"
    except OSError:
        return None


def _path(folder: Path, name: str) -> Path:
    return folder / f".{name}.lock"
