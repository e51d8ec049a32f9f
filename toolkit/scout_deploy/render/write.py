"""Writes rendered files."""

import contextlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from scout_deploy.errors import DeployError

# Containers read them as users of their own; secrets lie below a folder that only its owner can enter.
_FILE_MODE = 0o644
_FOLDER_MODE = 0o755
_PRIVATE_MODE = 0o700


def write_files(folder: Path, files: Mapping[str, bytes], *, may_overwrite: bool, private: str | None = None) -> None:
    """Write files below a folder, which is made where it is missing; each of them at once.

    Args:
        files: By their path below the folder.
        private: A folder below it that only its owner may enter, made first.

    Raises:
        DeployError: One of them is there already and may not be overwritten, or the disk refuses.
    """
    there = [path for path in files if os.path.lexists(folder / path)]
    if there and not may_overwrite:
        raise DeployError(
            f"{folder} holds {', '.join(there[:3])} already; nothing was written",
            next_step="--force overwrites, -o names another place",
        )
    at = folder
    try:
        if private is not None and any(Path(path).is_relative_to(private) for path in files):
            (folder / private).mkdir(parents=True, exist_ok=True)
            (folder / private).chmod(_PRIVATE_MODE)
        for path, content in files.items():
            at = folder / path
            _make_folders(folder, Path(path).parent)
            _write(folder / path, content)
    except OSError as exc:
        raise DeployError(f"{at} cannot be written: {exc.strerror}", next_step="-o names another place") from exc


def _make_folders(folder: Path, below: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part in reversed([below, *below.parents][:-1]):
        made = folder / part
        if not made.is_dir():
            made.mkdir()
            made.chmod(_FOLDER_MODE)


def _write(path: Path, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).chmod(_FILE_MODE)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
