"""Which locks this user made or ran here, wherever they lie: what they name must not be removed as unused."""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class KnownLocks:
    """Paths of locks, in one small file.

    Locks lie beside their profiles, anywhere on the disk, where nobody could look for them.
    """

    path: Path

    def paths(self) -> tuple[Path, ...]:
        """Return those that are still there, in their order."""
        return tuple(one for one in map(Path, sorted(self._read())) if one.is_file())

    def remember(self, lock: Path) -> None:
        """Add a lock; a disk that refuses costs only the memory."""
        known = self._read()
        if str(lock.absolute()) in known:
            return
        temporary = self.path.with_name(f".{self.path.name}")
        # What is not there now may lie on a disk that comes back.
        paths = sorted({str(lock.absolute()), *known})
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary.write_text(json.dumps(paths, indent=2), encoding="utf-8")
            temporary.replace(self.path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()

    def _read(self) -> set[str]:
        try:
            paths = json.loads(self.path.read_bytes())
        except (OSError, ValueError):
            return set()
        return {one for one in paths if isinstance(one, str)} if isinstance(paths, list) else set()
