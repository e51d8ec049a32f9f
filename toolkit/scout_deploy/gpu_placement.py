"""Which GPUs of the Docker host the engines of a profile get, and how they are handed over."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from scout_deploy.containers.host import DockerHost
from scout_deploy.containers.plan import Placement
from scout_deploy.containers.spec import GpuDevices
from scout_deploy.engines.container_engine import Accelerator
from scout_deploy.errors import GpuUnavailableError
from scout_deploy.gpus.access import give_gpus
from scout_deploy.gpus.allocation import allocate, can_run_beside
from scout_deploy.gpus.docker_devices import gpus_of_docker
from scout_deploy.gpus.gpu import Gpu, Vendor
from scout_deploy.gpus.inventory import Inventory
from scout_deploy.gpus.tool import has_nvidia_hook
from scout_deploy.model_facts import ModelFacts
from scout_deploy.profile.profile import Profile


@dataclass(frozen=True, kw_only=True)
class Box:
    """The Docker host and its GPUs.

    Args:
        taken: Index of a GPU and the deployment that has it.
    """

    host: DockerHost
    inventory: Inventory
    taken: Mapping[int, str]


@dataclass(frozen=True, kw_only=True)
class GpuPlacement:
    """A placement, the GPUs that it means, and what a user should know of it."""

    placement: Placement
    gpus: tuple[tuple[Gpu, ...], ...] = ()
    remarks: tuple[str, ...] = ()


def place(profile: Profile, facts: ModelFacts, box: Box, *, leaving: Collection[int] = ()) -> GpuPlacement:
    """Choose the GPUs of every replica.

    Args:
        leaving: GPUs whose present user stops before the new engines start.

    Raises:
        GpuUnavailableError: There are not enough, or the daemon cannot hand them over.
    """
    if profile.hardware.cpu_only:
        return GpuPlacement(placement=Placement(accelerator="intel-cpu"))
    if box.inventory.problem is not None and not box.inventory.gpus:
        raise GpuUnavailableError(box.inventory.problem, next_step=box.inventory.remedy or "scout-deploy doctor")
    told = gpus_of_docker(box.host)
    if not box.inventory.gpus and told is not None and told.count:
        # As in a container that has the daemon's socket and nothing of the driver.
        raise GpuUnavailableError(
            f"Docker tells of {told}, and nothing here says of which kind they are, how large, and who uses them",
            next_step="run this on the Docker host itself, or in a container that is given its GPUs (--gpus all)",
        )
    gpus = choose(profile, facts, box.inventory, box.taken, leaving=leaving)
    accesses = [give_gpus(box.host, one, hook=_has_hook(box.host)) for one in gpus]
    remarks = dict.fromkeys(remark for access in accesses for remark in access.remarks)
    return GpuPlacement(
        placement=Placement(
            accelerator=_accelerator(gpus[0][0].vendor),
            gpus=tuple(access.devices for access in accesses),
            indexes=tuple(tuple(gpu.index for gpu in one) for one in gpus),
            shards=len(gpus[0]),
            may_raise_limits=not box.host.is_rootless,
        ),
        gpus=gpus,
        remarks=tuple(remarks),
    )


def choose(
    profile: Profile,
    facts: ModelFacts,
    inventory: Inventory,
    taken: Mapping[int, str],
    *,
    leaving: Collection[int] = (),
) -> tuple[tuple[Gpu, ...], ...]:
    """Return the GPUs of every replica; see `allocate`, whose arguments and errors these are."""
    indexes = allocate(profile.hardware, profile.replicas, inventory.gpus, taken, heads=_heads(facts), leaving=leaving)
    by_index = {gpu.index: gpu for gpu in inventory.gpus}
    return tuple(tuple(by_index[index] for index in one) for one in indexes)


def has_room_beside(profile: Profile, facts: ModelFacts, box: Box) -> bool:
    """Tell whether a second set of engines finds free GPUs; on a CPU there is always room."""
    if profile.hardware.cpu_only:
        return True
    return can_run_beside(profile.hardware, profile.replicas, box.inventory.gpus, box.taken, heads=_heads(facts))


def imagine(profile: Profile) -> GpuPlacement:
    """Return the placement on a box that has just the GPUs that the profile is for, all of them free."""
    if profile.hardware.cpu_only:
        return GpuPlacement(placement=Placement(accelerator="intel-cpu"))
    hardware = profile.hardware
    size = hardware.gpu_count or len(hardware.gpu_ids or ()) // profile.replicas or 1
    ids = hardware.gpu_ids or tuple(range(size * profile.replicas))
    indexes = tuple(ids[start : start + size] for start in range(0, len(ids), size))
    return GpuPlacement(
        placement=Placement(
            accelerator="nvidia",
            gpus=tuple(GpuDevices(vendor="nvidia", ids=tuple(map(str, one))) for one in indexes),
            indexes=indexes,
            shards=size,
            may_raise_limits=True,
        )
    )


def _heads(facts: ModelFacts) -> tuple[int, ...]:
    return tuple(number for number in (facts.attention_heads, facts.kv_heads) if number is not None)


def _accelerator(vendor: Vendor) -> Accelerator:
    return "amd" if vendor == "amd" else "nvidia"


def _has_hook(host: DockerHost) -> bool | None:
    # The hook of another machine cannot be seen from here.
    return has_nvidia_hook(os.environ) if host.is_local else None
