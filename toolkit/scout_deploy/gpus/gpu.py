"""One GPU as its driver describes it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Vendor = Literal["nvidia", "amd"]

_GIGABYTE = 10**9
_GIBIBYTE = 2**30


@dataclass(frozen=True, kw_only=True)
class GpuProcess:
    """A process that computes on a GPU.

    Args:
        name: Of its program; empty where this user may not know it.
        memory_bytes: Of the GPU's memory; None where the driver does not say it, as for MIG.
    """

    pid: int
    name: str = ""
    memory_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """What the driver says of one GPU; None where it does not say it.

    Args:
        index: The driver's; `gpu_ids` of a profile are these.
        uuid: Such as `GPU-b5169cef-2205-c30e-f2b3-220cfa14bafd`; empty where it is not known.
        memory_total_bytes: None where the GPU shares the machine's memory, as GB10 does.
        compute_capability: NVIDIA's, such as `8.0`; AMD's, such as `gfx90a`.
        mig: Whether it is split into MIG instances, so that nobody can have the whole of it.
        processes: Those that compute on it, as far as the driver shows them to this user.
    """

    index: int
    uuid: str
    name: str
    vendor: Vendor = "nvidia"
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    compute_capability: str | None = None
    mig: bool = False
    processes: tuple[GpuProcess, ...] = ()

    @property
    def memory_free_bytes(self) -> int:
        """What nobody uses, as far as it is known; 0 where the driver does not say how much there is."""
        return (self.memory_total_bytes or 0) - (self.memory_used_bytes or 0)


def describe_gpus(gpus: Iterable[Gpu]) -> str:
    """Return such as `2 x NVIDIA L4 (22 GiB), 1 x Tesla T4 (15 GiB)`, in the order of their indexes."""
    kinds = Counter((gpu.name, gpu.memory_total_bytes) for gpu in sorted(gpus, key=lambda gpu: gpu.index))
    return ", ".join(
        f"{count} x {name}" + (f" ({total / _GIBIBYTE:.0f} GiB)" if total else "")
        for (name, total), count in kinds.items()
    )


def gigabytes(size_bytes: int) -> str:
    """Return a size in GB (10^9 bytes), as GPUs are sold and profiles count."""
    return f"{size_bytes / _GIGABYTE:.0f} GB"


def gibibytes(size_bytes: int) -> str:
    """Return a size in GiB (2^30 bytes), as the drivers' tools show what is in use."""
    return f"{size_bytes / _GIBIBYTE:.1f} GiB"
