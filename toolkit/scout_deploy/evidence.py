"""What a dead process left, kept in a file that outlives its log and its deployment."""

import json
import time
from collections.abc import Mapping
from pathlib import Path

KEPT_PER_DEPLOYMENT = 20


def save_evidence(folder: Path, *, role: str, at_s: float, facts: Mapping[str, object]) -> Path | None:
    """Write one file of evidence and drop the oldest beyond the newest 20.

    Args:
        at_s: When it happened, seconds since the epoch; names the file.

    Returns:
        The file, or None where the disk refuses: evidence must never stop a recovery.
    """
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(at_s))
    path = folder / f"{stamp}.{int(at_s * 1000) % 1000:03d}-{role}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(
            json.dumps({"role": role, "at": stamp, **facts}, indent=2, ensure_ascii=False), encoding="utf-8"
        )
        for old in sorted(folder.glob("*.json"))[:-KEPT_PER_DEPLOYMENT]:
            old.unlink(missing_ok=True)
    except OSError:
        return None
    return path
