"""A small file of JSON with the operator's history; it may be lost or damaged, at no cost but its memory."""

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class HistoryFile:
    """One file, exchanged whole at each change."""

    path: Path

    def read(self) -> object:
        """Return what is kept; None where nothing is, or where it cannot be read."""
        try:
            return json.loads(self.path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return None

    def write(self, document: object) -> None:
        """Keep this instead; a disk that refuses is ignored, because what is remembered has happened all the same."""
        # Its own name for each process: two that write at once must not write into each other's file.
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary.write_text(json.dumps(document, indent=2), encoding="utf-8")
            temporary.replace(self.path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
