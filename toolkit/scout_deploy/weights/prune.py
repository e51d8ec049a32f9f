"""Removes weights that were fetched for deployments and that nobody needs any more.

huggingface_hub's cache is the user's, and other programs keep models there: only what the toolkit fetched counts.
"""

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from scout_deploy.file_lock import FileLock, LockHeldError
from scout_deploy.weights import failures
from scout_deploy.weights.cache import OWN_FOLDER
from scout_deploy.weights.place import is_commit


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """One commit of one repository, as the toolkit fetched it.

    Args:
        size_bytes: What its removal would free: contents that other commits have too do not count.
    """

    repository: Path
    commit: str
    size_bytes: int

    @property
    def model_id(self) -> str:
        """The model's id on the hub."""
        return self.repository.name.removeprefix("models--").replace("--", "/")

    @property
    def snapshot(self) -> Path:
        """The folder of its files."""
        return self.repository / "snapshots" / self.commit


def unused(cache: Path, used: Iterable[tuple[str, str | None]]) -> tuple[Fetched, ...]:
    """Return what was fetched here and is not in use.

    Args:
        used: Folder of a repository and commit; None for any commit of it.
    """
    needed = set(used)
    return tuple(
        one
        for one in _fetched(cache)
        if (one.repository.name, one.commit) not in needed and (one.repository.name, None) not in needed
    )


def remove(fetched: Fetched) -> bool:
    """Remove a commit's files, and the whole repository with its last one; False where a command fetches it now.

    Raises:
        WeightsError: The disk refuses.
    """
    repository = fetched.repository
    try:
        with FileLock(repository / OWN_FOLDER / "lock", f"process {os.getpid()}"):
            others = [path for path in _snapshots(repository) if path != fetched.snapshot]
            if not others:
                shutil.rmtree(repository)
                return True
            for blob in _blobs(fetched.snapshot) - {blob for one in others for blob in _blobs(one)}:
                blob.unlink(missing_ok=True)
            shutil.rmtree(fetched.snapshot)
            (repository / OWN_FOLDER / f"{fetched.commit}.json").unlink(missing_ok=True)
            _forget_references(repository, fetched.commit)
    except LockHeldError:
        return False
    except OSError as exc:
        raise failures.disk(exc, repository) from exc
    return True


def _fetched(cache: Path) -> Iterator[Fetched]:
    for written in sorted(cache.glob(f"models--*/{OWN_FOLDER}/*.json")):
        repository, commit = written.parents[1], written.stem
        snapshot = repository / "snapshots" / commit
        if is_commit(commit) and snapshot.is_dir():
            kept = {blob for one in _snapshots(repository) if one != snapshot for blob in _blobs(one)}
            size = sum(blob.stat().st_size for blob in _blobs(snapshot) - kept)
            yield Fetched(repository=repository, commit=commit, size_bytes=size)


def _snapshots(repository: Path) -> list[Path]:
    return [path for path in (repository / "snapshots").glob("*") if path.is_dir()]


def _blobs(snapshot: Path) -> set[Path]:
    return {path.resolve() for path in snapshot.rglob("*") if path.is_file()}


def _forget_references(repository: Path, commit: str) -> None:
    for reference in (repository / "refs").rglob("*"):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if reference.is_file() and reference.read_text(encoding="utf-8").strip() == commit:
                reference.unlink()
