"""How many threads llama.cpp should compute with on this machine."""

import os
from collections.abc import Iterable
from pathlib import Path

_TOPOLOGY = Path("/sys/devices/system/cpu")
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def default_threads() -> int:
    """Return one less than the cores this process may use, at least 1.

    llama.cpp's threads wait for each other after every layer: where one of them shares its core with the HTTP side, all
    of them wait. On two cores with a neighbour, two threads gave 80 to 380 tokens/s where one gave 1,300 to 1,850 (the
    demonstration model's size).
    """
    return max(1, min(_usable_cores(), _quota_cores()) - 1)


def _usable_cores() -> int:
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return len(set(_core_names(usable)))


def _core_names(cpus: Iterable[int]) -> Iterable[str]:
    """Name each CPU's core; two hyperthreads of one core have one name."""
    for cpu in cpus:
        topology = _TOPOLOGY / f"cpu{cpu}" / "topology"
        try:
            yield f"{(topology / 'physical_package_id').read_text()}/{(topology / 'core_id').read_text()}"
        except OSError:
            yield str(cpu)


def _quota_cores() -> int:
    """Cores that a container's CPU quota amounts to (cgroup v2, cpu.max), rounded up."""
    try:
        quota, period = _CGROUP_QUOTA.read_text().split()
        return max(1, -(-int(quota) // int(period)))
    except (OSError, ValueError):
        return os.cpu_count() or 1
