"""What a dead process left, kept in a file that outlives its log and its deployment."""

import itertools
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KEPT_PER_DEPLOYMENT = 20


def save_evidence(folder: Path, *, role: str, at_s: float, facts: Mapping[str, object]) -> Path | None:
    """Write one file of evidence and drop the oldest beyond the newest 20.

    Args:
        at_s: When it happened, seconds since the epoch; names the file.

    Returns:
        The file, or None where the disk refuses: evidence must never stop a recovery.
    """
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(at_s))
    text = json.dumps({"role": role, "at": stamp, **facts}, indent=2, ensure_ascii=False)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = _free_path(folder, stamp, int(at_s * 1000) % 1000, role)
        # What is not UTF-8 becomes an escape that JSON has too.
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
        for old in sorted(folder.glob("*.json"))[:-KEPT_PER_DEPLOYMENT]:
            old.unlink(missing_ok=True)
    except OSError:
        return None
    return path


def newest_evidence(folder: Path) -> dict[str, Any] | None:
    """Return the newest file of evidence, its own path as `file`; None where there is none that can be read."""
    for path in sorted(folder.glob("*.json"), reverse=True):
        try:
            facts = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(facts, dict):
            return {**facts, "file": str(path)}
    return None


def _free_path(folder: Path, stamp: str, millisecond: int, role: str) -> Path:
    # Replicas die together; the evidence of one must not replace that of another.
    numbers = itertools.count(millisecond)
    paths = (folder / f"{stamp}.{number:03d}-{role}.json" for number in numbers)
    return next(path for path in paths if not path.exists())
