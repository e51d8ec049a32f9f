"""Which digest an image's name meant when it was first pulled; a name that moves must not change a deployment."""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path


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
        digests = self._read() | {reference: digest}
        temporary = self.path.with_name(f".{self.path.name}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary.write_text(json.dumps(digests, indent=2, sort_keys=True), encoding="utf-8")
            temporary.replace(self.path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()

    def _read(self) -> dict[str, object]:
        try:
            digests = json.loads(self.path.read_bytes())
        except (OSError, ValueError):
            return {}
        return digests if isinstance(digests, dict) else {}
