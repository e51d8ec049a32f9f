"""How many threads llama.cpp should compute with on this machine."""

import os
from collections.abc import Iterable
from pathlib import Path

_TOPOLOGY = Path("/sys/devices/system/cpu")
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def default_threads(*, topology: Path = _TOPOLOGY, quota: Path = _CGROUP_QUOTA) -> int:
    """Return one less than the cores this process may use, at least 1.

    llama.cpp's threads wait for each other after every layer: where one of them shares its core with the HTTP side or
    with a neighbour, all of them wait. Measured on two busy cores with a model of the demonstration model's size: 80 to
    380 tokens/s with two threads, 1,300 to 1,850 with one; on the same cores idle, 2,800 and 2,100.

    Args:
        topology: Linux's directory of CPUs; where it is missing, every CPU counts as a core.
        quota: A container's CPU quota (cgroup v2, cpu.max).
    """
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return max(1, min(count_cores(usable, topology), _quota_cores(quota)) - 1)


def count_cores(cpus: Iterable[int], topology: Path) -> int:
    """Return how many cores `cpus` are: two hyperthreads of one core count once."""
    return len({_core_name(cpu, topology) for cpu in cpus})


def _core_name(cpu: int, topology: Path) -> str:
    facts = topology / f"cpu{cpu}" / "topology"
    try:
        return f"{(facts / 'physical_package_id').read_text()}/{(facts / 'core_id').read_text()}"
    except OSError:
        return str(cpu)


def _quota_cores(quota: Path) -> int:
    """Whole cores that the quota amounts to, rounded up; all of them where there is none."""
    try:
        allowed, period = quota.read_text().split()
        return max(1, -(-int(allowed) // int(period)))
    except (OSError, ValueError):
        return os.cpu_count() or 1
