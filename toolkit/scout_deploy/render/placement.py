"""GPUs for a machine that nobody asked: as many as the profile is for, handed over as the user says. Pure."""

from dataclasses import replace
from enum import StrEnum

from scout_deploy.containers.plan import Placement
from scout_deploy.containers.spec import GpuDevices
from scout_deploy.errors import ProfileError
from scout_deploy.gpu_placement import imagine
from scout_deploy.profile.profile import Profile


class GpuWay(StrEnum):
    """How a Docker daemon hands over GPUs."""

    NVIDIA = "nvidia"
    NVIDIA_CDI = "nvidia-cdi"
    AMD = "amd"


def placement_for(profile: Profile, way: GpuWay | None) -> Placement:
    """Return the placement of a profile's engines on a machine that has just their GPUs.

    Args:
        way: None for NVIDIA's runtime, or for a CPU where the profile says so.

    Raises:
        ProfileError: A way is named, and the profile computes on the CPU.
    """
    placement = imagine(profile).placement
    if way is None:
        return placement
    if profile.hardware.cpu_only:
        raise ProfileError(f"--gpus: got {way.value}, but the profile computes on the CPU (hardware/cpu_only)")
    devices = tuple(_handed_over(one.ids, way) for one in placement.gpus)
    return replace(placement, accelerator="amd" if way is GpuWay.AMD else "nvidia", gpus=devices)


def _handed_over(ids: tuple[str, ...], way: GpuWay) -> GpuDevices:
    if way is GpuWay.AMD:
        return GpuDevices(vendor="amd", ids=ids, access="devices")
    return GpuDevices(vendor="nvidia", ids=ids, access="cdi" if way is GpuWay.NVIDIA_CDI else "device-request")
