"""Which replica gets which GPUs. Pure."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from scout_deploy.errors import GpuUnavailableError
from scout_deploy.gpus.gpu import Gpu, describe_gpus, gibibytes, gigabytes
from scout_deploy.profile.engine import Hardware

# What a driver reports is near what is sold: of 16 GB, a Tesla T4 with ECC reports 15.8 GB.
_MEMORY_TOLERANCE = 0.05

# Below it, a GPU counts as free: a desktop, or what the driver itself keeps.
_IDLE_SHARE = 0.05
_IDLE_BYTES = 2**30

# Numbers of shards that engines split over.
_SHARD_COUNTS = (8, 4, 2, 1)

# Processes on a GPU that are named; the largest first.
_MOST_USERS = 3

_LOOK = "nvidia-smi (rocm-smi for AMD) lists the GPUs and what uses them; scout-deploy doctor says what is free"


@dataclass(frozen=True, kw_only=True)
class Holders:
    """Who has which GPU.

    Args:
        taken: Index of a GPU and the deployment that has it.
        leaving: GPUs whose present user makes room before the new one starts, so that what they use does not count.
    """

    taken: Mapping[int, str]
    leaving: Collection[int] = ()


def allocate(
    hardware: Hardware,
    replicas: int,
    gpus: Sequence[Gpu],
    taken: Mapping[int, str],
    *,
    heads: Sequence[int] = (),
    leaving: Collection[int] = (),
) -> tuple[tuple[int, ...], ...]:
    """Return the indexes of each replica's GPUs, disjoint, each replica's of one kind; empty ones for a CPU.

    `gpu_ids` are taken in the profile's order. Else the free GPUs are chosen: a kind that holds all replicas before a
    mixture, then the larger memory, then the most free memory. With `device_map: auto` and no `gpu_count`, each replica
    gets the most GPUs of 8, 4, 2, 1 that are free and divide the model's heads.

    Args:
        gpus: All GPUs of the machine.
        taken: Index of a GPU and the deployment that has it, the asking one's own included unless they are `leaving`.
        heads: Numbers that a shard count has to divide: the model's attention heads and key-value heads.
        leaving: GPUs that their present user gives up before the new one starts; what it uses on them does not count.

    Raises:
        GpuUnavailableError: There are not enough, they are of another kind or size, or they are in use.
    """
    if hardware.cpu_only:
        return ((),) * replicas
    holders = Holders(taken=taken, leaving=leaving)
    if not gpus:
        raise GpuUnavailableError(
            f"the profile wants {_wanted(hardware, replicas)}; this machine has no GPU with a loaded driver",
            next_step="scout-deploy doctor says what is missing; the profile 'embedded' needs no GPU",
        )
    if hardware.gpu_ids is not None:
        return _named(hardware, hardware.gpu_ids, replicas, gpus, holders)
    suitable = _suitable(hardware, replicas, gpus)
    free = [gpu for gpu in suitable if _obstacle(gpu, holders) is None]
    count = hardware.gpu_count or _automatic_count(free, replicas, heads)
    if (chosen := _choose(free, replicas, count)) is not None:
        return chosen
    raise _too_few(hardware, replicas, count, suitable, holders)


def can_run_beside(
    hardware: Hardware,
    replicas: int,
    gpus: Sequence[Gpu],
    taken: Mapping[int, str],
    *,
    heads: Sequence[int] = (),
) -> bool:
    """Tell whether a second set of replicas finds free GPUs while the first keeps its own.

    Args:
        taken: As for `allocate`, with the GPUs of the running set among them.
    """
    try:
        allocate(hardware, replicas, gpus, taken, heads=heads)
    except GpuUnavailableError:
        return False
    return True


def is_kind(gpu: Gpu, kind: str) -> bool:
    """Tell whether a driver's name of a GPU is of this kind: whole words count, so that L4 is no L40S."""
    name, wanted = _words(gpu.name), _words(kind)
    return any(name[start : start + len(wanted)] == wanted for start in range(len(name) - len(wanted) + 1))


def obstacle_of(gpu: Gpu, taken: Mapping[int, str]) -> str | None:
    """Say why a GPU cannot be had now: a deployment has it, other processes use it, or it is split."""
    return _obstacle(gpu, Holders(taken=taken))


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def _named(
    hardware: Hardware, ids: tuple[int, ...], replicas: int, gpus: Sequence[Gpu], holders: Holders
) -> tuple[tuple[int, ...], ...]:
    known = {gpu.index: gpu for gpu in gpus}
    if missing := [index for index in ids if index not in known]:
        raise GpuUnavailableError(
            f"hardware/gpu_ids names GPU {_listed(missing)}; this machine has {_range(known)}: {describe_gpus(gpus)}",
            next_step="change hardware/gpu_ids, or let hardware/device_map: auto choose",
        )
    chosen = [known[index] for index in ids]
    _suitable(hardware, replicas, chosen)
    if obstacles := [reason for gpu in chosen if (reason := _obstacle(gpu, holders)) is not None]:
        raise GpuUnavailableError(
            f"hardware/gpu_ids names GPUs that are in use: {'; '.join(obstacles)}", next_step=_LOOK
        )
    size = len(ids) // replicas
    return tuple(ids[start : start + size] for start in range(0, len(ids), size))


def _suitable(hardware: Hardware, replicas: int, gpus: Sequence[Gpu]) -> list[Gpu]:
    """Return the GPUs of the right kind and size; with gpu_ids every one of them has to be."""
    all_count = hardware.gpu_ids is not None
    right_kind = [gpu for gpu in gpus if hardware.gpu_kind is None or is_kind(gpu, hardware.gpu_kind)]
    if not right_kind or (all_count and len(right_kind) < len(gpus)):
        raise GpuUnavailableError(
            f"the profile is for {_wanted(hardware, replicas)}; "
            f"{'hardware/gpu_ids names' if all_count else 'this machine has'} {describe_gpus(gpus)}",
            next_step="scout-deploy profiles list shows the profiles for other GPUs; to try this one all the same, "
            "change hardware/gpu_kind",
        )
    large = [gpu for gpu in right_kind if _is_large_enough(gpu, hardware.gpu_memory_gb)]
    if not large or (all_count and len(large) < len(right_kind)):
        raise GpuUnavailableError(
            f"the profile is for {_wanted(hardware, replicas)}; "
            f"{'hardware/gpu_ids names' if all_count else 'this machine has'} {describe_gpus(right_kind)}",
            next_step="choose a profile for that memory: scout-deploy profiles list",
        )
    return large


def _is_large_enough(gpu: Gpu, wanted_gb: float | None) -> bool:
    # A GPU that shares the machine's memory reports none; the engine will say it if that is too little.
    if wanted_gb is None or gpu.memory_total_bytes is None:
        return True
    return gpu.memory_total_bytes >= wanted_gb * 10**9 * (1 - _MEMORY_TOLERANCE)


def _obstacle(gpu: Gpu, holders: Holders) -> str | None:
    """Say why nobody can have this GPU now."""
    if gpu.mig:
        return f"GPU {gpu.index} is split into MIG instances (nvidia-smi -mig 0 -i {gpu.index} joins them)"
    if gpu.index in holders.leaving:
        return None
    if (holder := holders.taken.get(gpu.index)) is not None:
        return f"GPU {gpu.index} belongs to deployment '{holder}'"
    used = gpu.memory_used_bytes or 0
    if used > min(_IDLE_BYTES, (gpu.memory_total_bytes or used) * _IDLE_SHARE):
        total = f" of {gibibytes(gpu.memory_total_bytes)}" if gpu.memory_total_bytes else ""
        return f"GPU {gpu.index} has {gibibytes(used)}{total} in use by other processes{_named_users(gpu)}"
    return None


def _named_users(gpu: Gpu) -> str:
    users = sorted(gpu.processes, key=lambda one: -(one.memory_bytes or 0))[:_MOST_USERS]
    named = [f"{one.name or 'process'} (pid {one.pid})" for one in users]
    more = len(gpu.processes) - len(users)
    return f": {', '.join(named)}{f' and {more} more' if more else ''}" if named else ""


def _automatic_count(free: Sequence[Gpu], replicas: int, heads: Sequence[int]) -> int:
    counts = (count for count in _SHARD_COUNTS if all(number % count == 0 for number in heads))
    return next((count for count in counts if _choose(free, replicas, count) is not None), 1)


def _choose(free: Sequence[Gpu], replicas: int, count: int) -> tuple[tuple[int, ...], ...] | None:
    kinds = list(_kinds(free))
    # The stable sort keeps the larger GPUs first among those kinds that hold as many.
    kinds.sort(key=lambda kind: len(kind) // count < replicas)
    chosen: list[tuple[int, ...]] = []
    for kind in kinds:
        places = min(len(kind) // count, replicas - len(chosen))
        # Neighbours by index are mostly neighbours by their links too.
        indexes = sorted(gpu.index for gpu in kind[: places * count])
        chosen.extend(tuple(indexes[start : start + count]) for start in range(0, len(indexes), count))
    return tuple(chosen) if len(chosen) == replicas else None


def _kinds(gpus: Sequence[Gpu]) -> Iterator[list[Gpu]]:
    """Yield the GPUs of each kind, the kind with the largest memory first, in it the most free memory first."""
    kinds: dict[tuple[str, int], list[Gpu]] = {}
    for gpu in gpus:
        kinds.setdefault((gpu.name, gpu.memory_total_bytes or 0), []).append(gpu)
    for _, kind in sorted(kinds.items(), key=lambda item: (-item[0][1], item[0][0])):
        yield sorted(kind, key=lambda gpu: (-gpu.memory_free_bytes, gpu.index))


def _too_few(
    hardware: Hardware, replicas: int, count: int, suitable: Sequence[Gpu], holders: Holders
) -> GpuUnavailableError:
    obstacles = [reason for gpu in suitable if (reason := _obstacle(gpu, holders)) is not None]
    free = len(suitable) - len(obstacles)
    wanted, there = _wanted(hardware, replicas), describe_gpus(suitable)
    if free >= count * replicas:
        return GpuUnavailableError(
            f"the profile wants {wanted}; the free GPUs are of different kinds, and a replica gets one kind: {there}",
            next_step="name them in hardware/gpu_ids if a mixture is what you want",
        )
    if not obstacles:
        return GpuUnavailableError(
            f"the profile wants {wanted}; this machine has {there}",
            next_step="lower hardware/gpu_count or replicas, or choose another profile: scout-deploy profiles list",
        )
    return GpuUnavailableError(
        f"the profile wants {wanted}; of {there}, {free or 'none'} {'is' if free <= 1 else 'are'} free: "
        f"{'; '.join(obstacles)}",
        next_step=_LOOK,
    )


def _wanted(hardware: Hardware, replicas: int) -> str:
    count = hardware.gpu_count
    each = " ".join(
        part
        for part in (
            f"{count} x" if count else "",
            hardware.gpu_kind or ("GPU" if count else "GPUs"),
            f"with {gigabytes(round(hardware.gpu_memory_gb * 10**9))}" if hardware.gpu_memory_gb else "",
        )
        if part
    )
    return f"{each} for each of {replicas} replicas" if replicas > 1 else each


def _listed(indexes: Sequence[int]) -> str:
    return ", ".join(str(index) for index in indexes)


def _range(known: Mapping[int, Gpu]) -> str:
    return f"GPU {_listed(sorted(known))}"
