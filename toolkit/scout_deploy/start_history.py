"""How long earlier starts took on this machine; what an estimate is made of."""

from dataclasses import dataclass
from pathlib import Path

from scout_deploy.history_file import HistoryFile

KEPT_MODELS = 100


@dataclass(frozen=True)
class StartHistory:
    """Seconds of the last successful start of each model, in one small file. A lost file costs nothing."""

    path: Path

    def last_start_s(self, key: str) -> float | None:
        """Return how long the last start took, or None if there was none or the file is unreadable."""
        seconds = self._read().get(key)
        return seconds if isinstance(seconds, int | float) and seconds >= 0 else None

    def record(self, key: str, seconds: float) -> None:
        """Remember a start; a disk that refuses is ignored, because the deployment is up."""
        starts = self._read()
        starts.pop(key, None)
        starts[key] = round(seconds, 2)
        HistoryFile(self.path).write(dict(list(starts.items())[-KEPT_MODELS:]))

    def _read(self) -> dict[str, object]:
        starts = HistoryFile(self.path).read()
        return starts if isinstance(starts, dict) else {}
