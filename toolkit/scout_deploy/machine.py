"""What this machine has, as far as a start without containers needs to know."""

import platform
from pathlib import Path


def visible_gpus(root: Path = Path("/")) -> tuple[str, ...]:
    """Name the GPUs whose driver is loaded: NVIDIA's by model, AMD's compute device as one entry.

    Args:
        root: Where `/proc` and `/dev` are; the tests have their own.

    Sources: NVIDIA's driver lists its GPUs under /proc/driver/nvidia/gpus; ROCm needs /dev/kfd.
    """
    found = []
    for information in sorted(root.glob("proc/driver/nvidia/gpus/*/information")):
        try:
            text = information.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        models = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("Model:")]
        found.append(models[0] if models else "NVIDIA GPU")
    if (root / "dev/kfd").exists():
        found.append("AMD GPU (/dev/kfd)")
    return tuple(found)


def is_container(root: Path = Path("/")) -> bool:
    """Tell whether this process runs in a container, by the file that Docker or Podman puts there.

    Args:
        root: Where those files would be.
    """
    return (root / ".dockerenv").exists() or (root / "run/.containerenv").exists()


def machine_name() -> str:
    """Return this machine's own name; homes on a network are shared by several."""
    return platform.node() or "this machine"
