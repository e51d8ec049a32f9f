"""Where benchmarks are kept: a folder for each deployment, below it for each profile, below it for each image."""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from scout_deploy.errors import StateError
from scout_loadtest.bench_run import FORMAT, BenchRun, Subject

KEPT_PER_IMAGE = 50
ELSEWHERE = "elsewhere"
"""The folder of what was measured at an address that is no deployment of this user's."""

_NO_IMAGE = "no-image"
_DIGEST_SHOWN = 12
_NOT_OF_A_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class RunStore:
    """The runs that this user kept.

    Args:
        folder: Of all of them; made when the first is kept.
    """

    folder: Path

    def new_id(self, deployment: str | None, at_s: float) -> str:
        """Return a name for a run that no other has.

        Args:
            at_s: Seconds since the epoch.
        """
        base = f"{deployment or ELSEWHERE}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(at_s))}"
        taken = {path.stem for path in self._paths()}
        return next(name for name in _numbered(base) if name not in taken)

    def place(self, subject: Subject) -> Path:
        """Return the folder of runs of such a subject."""
        parts = (
            subject.deployment or ELSEWHERE,
            subject.profile or "no-profile",
            short_digest(subject.image_digest) or _NO_IMAGE,
        )
        return self.folder.joinpath(*(_NOT_OF_A_NAME.sub("-", part).strip("-.") or "other" for part in parts))

    def keep(self, run: BenchRun) -> Path:
        """Write a run's JSON and drop the oldest of its image beyond the newest 50.

        Raises:
            OSError: It cannot be written.
        """
        folder = self.place(run.subject)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / f"{run.id}.json"
        write_file(path, run.model_dump_json())
        by_age = sorted(folder.glob("*.json"), key=lambda one: one.stat().st_mtime_ns)
        for old in by_age[:-KEPT_PER_IMAGE]:
            old.unlink(missing_ok=True)
            old.with_suffix(".html").unlink(missing_ok=True)
        return path

    def find(self, run_id: str) -> Path | None:
        """Return the file of a run; None where none has that name."""
        return next((path for path in self._paths() if path.stem == run_id), None)

    def runs(self) -> Iterator[BenchRun]:
        """Yield every run that this version can read, the oldest first."""
        yield from self.look()[0]

    def look(self) -> tuple[tuple[BenchRun, ...], tuple[str, ...]]:
        """Return every run that this version can read, the oldest first, and why others cannot be read."""
        runs, unreadable = [], []
        for path in sorted(self._paths()):
            try:
                runs.append(read_run(path))
            except StateError as exc:
                unreadable.append(exc.message)
        return tuple(sorted(runs, key=lambda one: one.began_at)), tuple(unreadable)

    def _paths(self) -> Iterator[Path]:
        return self.folder.glob("*/*/*/*.json")


def read_run(path: Path) -> BenchRun:
    """Read a run from its file.

    Raises:
        StateError: It cannot be read, or is none.
    """
    try:
        run = BenchRun.model_validate_json(path.read_bytes())
    except OSError as exc:
        raise StateError(f"{path} cannot be read: {exc.strerror}", next_step="scout-deploy bench list") from exc
    except ValidationError as exc:
        raise StateError(
            f"{path} is no benchmark of this version of scout-deploy (format {FORMAT}): {_first(exc)}",
            next_step="scout-deploy bench list",
        ) from exc
    if run.format != FORMAT:
        raise StateError(
            f"{path} has the format {run.format}, and this version of scout-deploy reads {FORMAT}",
            next_step="measure again with this version",
        )
    return run


def write_file(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def short_digest(digest: str | None) -> str | None:
    """Return the part of an image's digest that tells it from others."""
    return None if digest is None else digest.rpartition(":")[2][:_DIGEST_SHOWN]


def _numbered(base: str) -> Iterator[str]:
    yield base
    number = 2
    while True:
        yield f"{base}-{number}"
        number += 1


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    return f"{'/'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"
