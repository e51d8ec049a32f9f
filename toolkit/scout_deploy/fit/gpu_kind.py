"""GPUs to plan for: those of a table of known ones, written as `4xH100-80GB`, or those that a driver reports."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scout_deploy.gpus.gpu import Gpu, Vendor

_GIBIBYTE = 2**30
_GIGABYTE = 10**9

# What a driver reports as its total is more than CUDA gives out: of an H100's 81,559 MiB, PyTorch has 79.11 GiB
# (https://github.com/vllm-project/vllm/issues/27508), of an L40S's 46,068 MiB 44.53 GiB
# (https://github.com/vllm-project/vllm/issues/15598), and of an H200's 143,771 MiB 139.80 GiB (measured, driver 580).
USABLE_OF_REPORTED = 0.99
_MOST = 1024


# An engine that computes on the CPU has the machine's memory, which a plan treats as it does a GPU's.
PlanVendor = Vendor | Literal["cpu"]


class UnknownGpusError(Exception):
    """What was written names no GPUs that a plan can be made for; the message says what was expected."""


@dataclass(frozen=True, kw_only=True)
class PlanGpu:
    """One GPU, or a CPU with its memory, as a plan sees it.

    Args:
        total_bytes: What CUDA gives out when nobody has anything.
        held_bytes: What other processes hold of it.
        compute_capability: NVIDIA's, such as `9.0`; None for other vendors, or where it is not known.
    """

    name: str
    total_bytes: int
    held_bytes: int = 0
    vendor: PlanVendor = "nvidia"
    compute_capability: str | None = None

    @property
    def is_cpu(self) -> bool:
        """Whether it is a CPU."""
        return self.vendor == "cpu"


def cpu_with(total_bytes: int, held_bytes: int) -> PlanGpu:
    """Return a CPU with so much memory, of which others hold so much."""
    return PlanGpu(name="CPU", total_bytes=total_bytes, held_bytes=held_bytes, vendor="cpu")


@dataclass(frozen=True, kw_only=True)
class KnownGpu:
    """An entry of the table: as it is sold, and what CUDA gives out of it in GiB."""

    kind: str
    sold_gb: int
    usable_gib: float
    compute_capability: str | None
    vendor: Vendor = "nvidia"

    @property
    def name(self) -> str:
        """Such as `H100-80GB`."""
        return f"{self.kind}-{self.sold_gb}GB"

    @property
    def gpu(self) -> PlanGpu:
        """It, with nothing on it."""
        return PlanGpu(
            name=self.name,
            total_bytes=int(self.usable_gib * _GIBIBYTE),
            vendor=self.vendor,
            compute_capability=self.compute_capability,
        )


# usable_gib: the "total capacity" in PyTorch's out-of-memory messages in public reports, rounded down to 0.1 GiB, where
# one was found (H100 27508 and L40S 15598 of vllm-project/vllm; A100-40GB 10 of TianheWu/CoSeR; A100-80GB 10 of
# OSU-NLP-Group/TableLlama, less a little; RTX 4090 36 of zai-org/CogVideo; RTX 5090 465 of Wan-Video/Wan2.1; A10 236 of
# zai-org/CogVLM; T4 215 of Morizeyao/GPT2-Chinese), and of the H200 what was measured. RTX 3090, L4, A10G, L40, A6000
# and RTX 4060 are assumed to be like these: 0.99 of the driver's total. H100-94GB, B200 and AMD's are their data
# sheets' numbers less about one percent. Compute capabilities: https://developer.nvidia.com/cuda-gpus.
KNOWN: tuple[KnownGpu, ...] = (
    KnownGpu(kind="T4", sold_gb=16, usable_gib=14.7, compute_capability="7.5"),
    KnownGpu(kind="RTX4060", sold_gb=8, usable_gib=7.7, compute_capability="8.9"),
    KnownGpu(kind="RTX3090", sold_gb=24, usable_gib=23.6, compute_capability="8.6"),
    KnownGpu(kind="RTX4090", sold_gb=24, usable_gib=23.6, compute_capability="8.9"),
    KnownGpu(kind="RTX5090", sold_gb=32, usable_gib=31.3, compute_capability="12.0"),
    KnownGpu(kind="L4", sold_gb=24, usable_gib=22.0, compute_capability="8.9"),
    KnownGpu(kind="A10", sold_gb=24, usable_gib=21.9, compute_capability="8.6"),
    KnownGpu(kind="A10G", sold_gb=24, usable_gib=21.9, compute_capability="8.6"),
    KnownGpu(kind="A6000", sold_gb=48, usable_gib=47.5, compute_capability="8.6"),
    KnownGpu(kind="L40", sold_gb=48, usable_gib=44.4, compute_capability="8.9"),
    KnownGpu(kind="L40S", sold_gb=48, usable_gib=44.4, compute_capability="8.9"),
    KnownGpu(kind="A100", sold_gb=40, usable_gib=39.3, compute_capability="8.0"),
    KnownGpu(kind="A100", sold_gb=80, usable_gib=79.1, compute_capability="8.0"),
    KnownGpu(kind="H100", sold_gb=80, usable_gib=79.1, compute_capability="9.0"),
    KnownGpu(kind="H100", sold_gb=94, usable_gib=93.0, compute_capability="9.0"),
    KnownGpu(kind="H200", sold_gb=141, usable_gib=139.8, compute_capability="9.0"),
    KnownGpu(kind="B200", sold_gb=180, usable_gib=177.0, compute_capability="10.0"),
    KnownGpu(kind="MI210", sold_gb=64, usable_gib=63.9, compute_capability=None, vendor="amd"),
    KnownGpu(kind="MI300X", sold_gb=192, usable_gib=191.0, compute_capability=None, vendor="amd"),
)

_WRITTEN = re.compile(r"(?:(?P<count>\d+)\s*[xX*]\s*)?(?P<kind>[A-Za-z][A-Za-z0-9 ]*?)(?:[-_ ](?P<gb>\d+)\s*[Gg][Bb])?")


def read_gpus(written: str) -> tuple[PlanGpu, ...]:
    """Return the GPUs that a text such as `4xH100-80GB`, `H200` or `2xRTX4090` names.

    Raises:
        UnknownGpusError: It is of another form, names none or several kinds, or one that is not in the table.
    """
    if "," in written or "+" in written:
        raise UnknownGpusError(
            "one engine is split over GPUs of one kind; name one, as in 4xH100-80GB, and plan for each kind alone"
        )
    found = _WRITTEN.fullmatch(written.strip())
    if found is None:
        raise UnknownGpusError("expected a number and a kind, as in 4xH100-80GB")
    count = int(found["count"] or 1)
    if not 1 <= count <= _MOST:
        raise UnknownGpusError(f"expected 1 to {_MOST} GPUs, got {count}")
    return (_known(found["kind"], found["gb"]).gpu,) * count


def _known(kind: str, sold_gb: str | None) -> KnownGpu:
    wanted = kind.replace(" ", "").upper()
    same = [one for one in KNOWN if one.kind.upper() == wanted]
    if sold_gb is not None:
        same = [one for one in same if one.sold_gb == int(sold_gb)] or same[:0]
    if not same:
        names = [one.name for one in KNOWN]
        asked = wanted if sold_gb is None else f"{wanted}-{sold_gb}GB"
        near = difflib.get_close_matches(asked, names, n=2, cutoff=0.5)
        guess = f"; did you mean {' or '.join(near)}?" if near else "."
        raise UnknownGpusError(f"no GPU is known as {asked}{guess} Known are: {', '.join(names)}")
    if len(same) > 1:
        raise UnknownGpusError(f"there are {' and '.join(one.name for one in same)}; say which")
    return same[0]


def of_driver(gpus: Sequence[Gpu]) -> tuple[PlanGpu, ...] | None:
    """Return what a plan needs of GPUs that a driver reported; None where it does not say how large one is."""
    if any(not gpu.memory_total_bytes for gpu in gpus):
        return None
    return tuple(
        PlanGpu(
            name=gpu.name,
            total_bytes=int((gpu.memory_total_bytes or 0) * USABLE_OF_REPORTED),
            held_bytes=gpu.memory_used_bytes or 0,
            vendor=gpu.vendor,
            compute_capability=gpu.compute_capability if gpu.vendor == "nvidia" else None,
        )
        for gpu in gpus
    )


def describe(gpus: Sequence[PlanGpu]) -> str:
    """Return such as `4 x H100-80GB`, or `a CPU with 67.4 GB of memory`."""
    if gpus[0].is_cpu:
        return f"a CPU with {gpus[0].total_bytes / _GIGABYTE:.1f} GB of memory"
    kinds = dict.fromkeys(gpu.name for gpu in gpus)
    return ", ".join(f"{sum(gpu.name == name for gpu in gpus)} x {name}" for name in kinds)
