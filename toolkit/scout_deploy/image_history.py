"""Which digest an image's name meant when it was first pulled; a name that moves must not change a deployment."""

from dataclasses import dataclass
from pathlib import Path

from scout_deploy.history_file import HistoryFile


@dataclass(frozen=True)
class ImageHistory:
    """Digests of the images that this user deployed, in one small file. A lost file is made again at the next pull."""

    path: Path

    def digest(self, reference: str) -> str | None:
        """Return `repository@sha256:...` of this reference, if it was pulled before."""
        kept = self._read().get(reference)
        return kept if isinstance(kept, str) else None

    def keep(self, reference: str, digest: str) -> None:
        """Remember a digest; a disk that refuses costs only the memory."""
        HistoryFile(self.path).write(dict(sorted((self._read() | {reference: digest}).items())))

    def _read(self) -> dict[str, object]:
        digests = HistoryFile(self.path).read()
        return digests if isinstance(digests, dict) else {}
