"""How much memory the control groups of this process still allow: a container's limit, or a service's.

The files are the kernel's (https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files, and version 1's
memory.txt beside it).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class _Names:
    limit: str
    used: str
    reclaimable: str


_SECOND = _Names("memory.max", "memory.current", "inactive_file ")
_FIRST = _Names("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ")


def memory_left(root: Path = Path("/")) -> int | None:
    """Return the bytes that may still be taken, what was read of files and not used lately counted as free.

    Args:
        root: Where `/proc` and `/sys` are.

    Returns:
        None where nothing limits it, or nobody tells.
    """
    left = (_left(folder, names) for folder, names in _folders(root))
    return min((one for one in left if one is not None), default=None)


def _folders(root: Path) -> Iterator[tuple[Path, _Names]]:
    mounted = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if not controllers:
            yield from ((folder, _SECOND) for folder in _upwards(mounted, path))
        elif "memory" in controllers.split(","):
            yield from ((folder, _FIRST) for folder in _upwards(mounted / "memory", path))


def _upwards(mounted: Path, path: str) -> Iterator[Path]:
    """Yield a group's folder and those above it; the topmost is a container's own, whose path may be the host's."""
    for group in (PurePosixPath(path), *PurePosixPath(path).parents):
        yield mounted / str(group).lstrip("/")


def _left(folder: Path, names: _Names) -> int | None:
    limit, used = _text(folder / names.limit).strip(), _text(folder / names.used).strip()
    if not (limit.isdigit() and used.isdigit()):
        return None
    statistics = _text(folder / "memory.stat").splitlines()
    found = [line.removeprefix(names.reclaimable) for line in statistics if line.startswith(names.reclaimable)]
    reclaimable = int(found[0]) if found and found[0].isdigit() else 0
    return max(0, int(limit) - int(used) + reclaimable)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
