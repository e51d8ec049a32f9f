"""What engines really took of memory on the boxes of this operator; what the next plan is corrected by."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from scout_deploy.fit.measured_start import MeasuredStart
from scout_deploy.history_file import HistoryFile
from scout_deploy.xdg import UserDirectories

KEPT_STARTS = 200


@dataclass(frozen=True)
class MemoryHistory:
    """The last measured starts, in one small file. A lost file costs corrections, which the next starts bring back."""

    path: Path

    def starts(self) -> tuple[MeasuredStart, ...]:
        """Return what is kept, oldest first; what cannot be read of it is passed over."""
        kept = HistoryFile(self.path).read()
        read = map(_read, kept if isinstance(kept, list) else ())
        return tuple(start for start in read if start is not None)

    def start_of(self, instance: str) -> MeasuredStart | None:
        """Return the newest of this container or process; None where it was not measured by this user."""
        return next((start for start in reversed(self.starts()) if start.instance == instance), None)

    def keep(self, starts: Sequence[MeasuredStart]) -> None:
        """Remember these too; of one instance the newest alone."""
        if not starts:
            return
        new = {start.instance for start in starts}
        every = [*(one for one in self.starts() if one.instance not in new), *starts]
        HistoryFile(self.path).write([one.model_dump(mode="json") for one in every[-KEPT_STARTS:]])


def memory_history(directories: UserDirectories) -> MemoryHistory:
    """Return this user's."""
    return MemoryHistory(directories.state / "history" / "memory.json")


def _read(document: object) -> MeasuredStart | None:
    try:
        return MeasuredStart.model_validate(document)
    except ValidationError:
        return None
