"""Which GPUs a plan is made for: those that were named, else the machine's, else those that the profile is for.

For an engine that computes on the CPU it is the machine's memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from scout_deploy.errors import DockerUnavailableError, GpuUnavailableError, ProfileError
from scout_deploy.fit.gpu_kind import PlanGpu, UnknownGpusError, cpu_with, of_driver, read_gpus
from scout_deploy.gpus.allocation import obstacle_of
from scout_deploy.gpus.gpu import Gpu, describe_gpus
from scout_deploy.plan_machine import PlanMachine
from scout_deploy.profile.engine import Hardware
from scout_deploy.profile.profile import Profile

_EXAMPLE = "name the GPUs to plan for, as in --gpus 4xH100-80GB"


@dataclass(frozen=True, kw_only=True)
class GpusToPlan:
    """The GPUs of one box.

    Args:
        origin: Why these, for a person; empty where they were named.
        is_free_choice: Whether a plan may use some of them alone; else all of them are meant.
    """

    gpus: tuple[PlanGpu, ...]
    origin: str = ""
    is_free_choice: bool = True

    def of_replica(self, profile: Profile) -> tuple[PlanGpu, ...]:
        """Return the GPUs of the profile's first replica.

        Raises:
            ProfileError: There are more replicas than GPUs.
        """
        most = len(self.gpus) // profile.replicas
        if most == 0:
            raise ProfileError(
                f"replicas: got {profile.replicas}, and there are {len(self.gpus)} GPUs",
                next_step="--set replicas=1, or name more GPUs",
            )
        wanted = profile.hardware.gpu_count
        count = min(wanted, most) if wanted is not None and self.is_free_choice else most
        return self.gpus[:count]


def named_gpus(written: str, *, is_free_choice: bool) -> GpusToPlan:
    """Return the GPUs that `--gpus` names.

    Raises:
        ProfileError: It names none that are known.
    """
    try:
        return GpusToPlan(gpus=read_gpus(written), is_free_choice=is_free_choice)
    except UnknownGpusError as exc:
        raise ProfileError(f"--gpus: got {written!r}: {exc}") from exc


def gpus_here(machine: PlanMachine, hardware: Hardware) -> GpusToPlan:
    """Return the machine's GPUs, as far as they are of the profile's kind, the freest first; else the profile's own.

    Where Docker alone tells of GPUs, that is how many there are, and the profile says of which kind.

    Raises:
        GpuUnavailableError: There are none, and the profile names none either, or all are split.
    """
    inventory = machine.inventory
    if inventory.gpus:
        found = _whole_ones(inventory.gpus, hardware)
        if found is not None:
            return found
    meant = gpus_of(hardware)
    if meant is None:
        raise GpuUnavailableError(_nothing(machine), next_step=_EXAMPLE)
    told = machine.announced
    if told is not None and told.count:
        return GpusToPlan(
            gpus=(meant[0],) * told.count,
            origin=f"of the kind that the profile is for; Docker tells of {told}, and not of which kind",
        )
    return GpusToPlan(gpus=meant, origin=f"the GPUs that the profile is for, as {_why_not(machine)}")


def cpu_here(machine: PlanMachine, replicas: int) -> GpusToPlan:
    """Return the machine's CPU with its memory, a part of it for each replica.

    Raises:
        DockerUnavailableError: It is another machine, of which nobody tells how much memory it has.
    """
    if machine.memory_bytes is None:
        raise DockerUnavailableError(
            f"{machine.name} does not tell how much memory it has: {machine.silence or 'its Docker daemon is silent'}",
            next_step="correct or unset DOCKER_HOST, or plan on that machine",
        )
    one = cpu_with(machine.memory_bytes // replicas, machine.held_bytes // replicas)
    origin = "this machine" if machine.is_local else f"{machine.name}, which does not tell what of it is in use"
    shared = f", shared by {replicas} replicas" if replicas > 1 else ""
    return GpusToPlan(gpus=(one,) * replicas, origin=f"{origin}{shared}")


def _whole_ones(gpus: Sequence[Gpu], hardware: Hardware) -> GpusToPlan | None:
    """Return those of the kind with the most memory; None where the driver does not say how much they have."""
    named = [gpu for gpu in gpus if hardware.gpu_ids is None or gpu.index in hardware.gpu_ids]
    usable = [gpu for gpu in named if not gpu.mig]
    if named and not usable:
        raise GpuUnavailableError("; ".join(filter(None, (obstacle_of(gpu, {}) for gpu in named))), next_step=_EXAMPLE)
    kinds = {gpu.name for gpu in usable}
    largest = max(kinds, key=lambda name: _memory(usable, name), default=None)
    chosen = sorted((gpu for gpu in usable if gpu.name == largest), key=lambda gpu: -gpu.memory_free_bytes)
    found = of_driver(chosen)
    if not found:
        return None
    others = len(kinds) > 1 or len(usable) < len(named)
    split = [gpu.index for gpu in named if gpu.mig]
    more = f"; {describe_gpus(gpus)} are here" if others else ""
    more += f", GPU {', '.join(map(str, split))} split into MIG instances" if split else ""
    return GpusToPlan(gpus=found, origin=f"the GPUs of this machine{more}")


def _nothing(machine: PlanMachine) -> str:
    if machine.announced is not None:
        return f"Docker tells of {machine.announced} and not of which kind, and the profile names no kind either"
    return machine.inventory.problem or f"{_why_not(machine)}, and the profile names none"


def _why_not(machine: PlanMachine) -> str:
    if machine.announced is not None:
        return f"Docker tells of {machine.announced}, and not of which kind"
    if not machine.is_local and machine.silence is not None:
        return f"{machine.name} could not be asked: {machine.silence}"
    if not machine.is_local:
        return f"{machine.name} tells of none"
    return f"{machine.name} has none whose memory is known"


def gpus_of(hardware: Hardware) -> tuple[PlanGpu, ...] | None:
    """Return the GPUs that a profile is for; None where it does not say, or the kind is not known."""
    if hardware.gpu_kind is None:
        return None
    size = "" if hardware.gpu_memory_gb is None else f"-{hardware.gpu_memory_gb:.0f}GB"
    try:
        return read_gpus(f"{hardware.gpu_count or 1}x{hardware.gpu_kind}{size}")
    except UnknownGpusError:
        return None


def _memory(gpus: Sequence[Gpu], name: str) -> int:
    return sum(gpu.memory_total_bytes or 0 for gpu in gpus if gpu.name == name)
