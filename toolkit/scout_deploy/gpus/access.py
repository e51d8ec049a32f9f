"""How containers get at the GPUs of a Docker host, and whether they did. Pure. Unproven on hardware.

Sources: CDI devices in `GET /info` since Docker 28.3 (https://github.com/moby/moby/pull/49980), requests for them since
Docker 25 (https://github.com/moby/moby/pull/45134), Podman's API ignoring device requests
(https://github.com/docker/docker-py/issues/3182), Docker as a snap (https://github.com/NVIDIA/nvidia-docker/issues/1642).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from scout_deploy.containers.host import DockerHost
from scout_deploy.containers.spec import GpuDevices
from scout_deploy.errors import GpuUnavailableError
from scout_deploy.gpus import nvidia_smi
from scout_deploy.gpus.gpu import Gpu, describe_gpus

CDI_PREFIX = "nvidia.com/gpu="
INSTALL_STEP = (
    "install the NVIDIA Container Toolkit "
    "(https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html), then: "
    "sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker"
)
_SNAP_STEP = (
    "install Docker's own package (https://docs.docker.com/engine/install/) instead of the snap, which cannot use "
    "NVIDIA's hook"
)
_CDI_STEP = "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml describes them anew"
_CDI_API = (1, 44)


@dataclass(frozen=True, kw_only=True)
class GpuAccess:
    """How GPUs are handed over on one Docker host.

    Args:
        remarks: What a user should know beforehand.
    """

    devices: GpuDevices
    remarks: tuple[str, ...] = ()


def is_podman(host: DockerHost) -> bool:
    """Tell whether it is Podman that answers for Docker."""
    return any("podman" in component.lower() for component in host.components)


def give_gpus(host: DockerHost, gpus: Sequence[Gpu], *, hook: bool | None = None) -> GpuAccess:
    """Say how a container gets these GPUs on this host.

    Args:
        gpus: At least one, of one vendor.
        hook: Whether NVIDIA's hook is installed where the daemon runs; None where that cannot be seen. Docker's own
            `--gpus` needs it alone, with no runtime registered.

    Raises:
        GpuUnavailableError: It offers no way.
    """
    if gpus[0].vendor == "amd":
        devices = GpuDevices(vendor="amd", ids=tuple(str(gpu.index) for gpu in gpus), access="devices")
        return GpuAccess(devices=devices)
    if is_podman(host):
        raise GpuUnavailableError(
            f"{host.address} is Podman {host.server_version}: it accepts Docker's requests for GPUs and ignores them, "
            "so the engine would start without any",
            next_step="install Docker, or point DOCKER_HOST at a Docker daemon",
        )
    known = tuple(name.removeprefix(CDI_PREFIX) for name in host.cdi_devices if name.startswith(CDI_PREFIX))
    if known and _api(host) >= _CDI_API:
        return GpuAccess(devices=GpuDevices(vendor="nvidia", ids=_cdi_names(known, gpus), access="cdi"))
    is_snap = host.root_dir.startswith("/var/snap/")
    if "nvidia" not in host.runtimes and (is_snap or hook is False):
        raise GpuUnavailableError(
            f"the Docker daemon at {host.address} has no NVIDIA runtime (it has {', '.join(host.runtimes) or 'none'}) "
            "and discovered no CDI devices, so that no container gets a GPU",
            next_step=_SNAP_STEP if is_snap else INSTALL_STEP,
        )
    ids = tuple(gpu.uuid or str(gpu.index) for gpu in gpus)
    return GpuAccess(
        devices=GpuDevices(vendor="nvidia", ids=ids, access="device-request"), remarks=tuple(_remarks(host, hook))
    )


def _remarks(host: DockerHost, hook: bool | None) -> list[str]:
    remarks = []
    if host.is_rootless:
        remarks.append(
            "rootless Docker cannot let NVIDIA's hook set cgroups; if the engine does not see its GPUs: "
            "sudo nvidia-ctk config --set nvidia-container-cli.no-cgroups --in-place"
        )
    if "nvidia" not in host.runtimes and hook is None:
        remarks.append(
            "the Docker daemon names no NVIDIA runtime and no CDI devices; whether it can hand over GPUs shows when "
            "the engine starts"
        )
    return remarks


def _cdi_names(known: tuple[str, ...], gpus: Sequence[Gpu]) -> tuple[str, ...]:
    # WSL has one device for all GPUs together.
    if known == ("all",):
        return known
    names = []
    for gpu in gpus:
        name = next((name for name in (gpu.uuid, str(gpu.index)) if name in known), None)
        if name is None:
            raise GpuUnavailableError(
                f"Docker's CDI devices do not know GPU {gpu.index} ({gpu.name}); they are {', '.join(known)}",
                next_step=_CDI_STEP,
            )
        names.append(name)
    return tuple(names)


def _api(host: DockerHost) -> tuple[int, ...]:
    return tuple(int(part) for part in host.api_version.split(".") if part.isdigit())


def verify_inside(listing: str, expected: Sequence[Gpu]) -> None:
    """Compare what `nvidia-smi -L` printed inside a container with the GPUs that it was given.

    Args:
        listing: Standard output and standard error together.

    Raises:
        GpuUnavailableError: It saw fewer, others, or more.
    """
    seen = nvidia_smi.parse_list(listing)
    wanted = {gpu.uuid for gpu in expected if gpu.uuid}
    missing = wanted - {gpu.uuid for gpu in seen}
    if len(seen) == len(expected) and not missing:
        return
    there = ", ".join(f"{gpu.name} ({gpu.uuid})" for gpu in seen) or "none"
    raise GpuUnavailableError(
        f"the engine's container was given {describe_gpus(expected)} and sees {there}: "
        + _cause(listing, seen, expected),
        next_step=INSTALL_STEP if not seen else "scout-deploy doctor",
        evidence=tuple(line for line in listing.splitlines() if line.strip())[:10],
    )


def _cause(listing: str, seen: Sequence[nvidia_smi.ListedGpu], expected: Sequence[Gpu]) -> str:
    if (known := nvidia_smi.explain_failure(listing)) is not None:
        return f"{known.cause}; {known.remedy}"
    if not seen and "not found" in listing:
        return (
            "nvidia-smi is not in the container, so NVIDIA's hook did not run: the daemon ignored the request for GPUs"
        )
    if not seen:
        return "the daemon ignored the request for GPUs, or NVIDIA's hook failed"
    if len(seen) > len(expected):
        return (
            "NVIDIA's runtime gives every container all GPUs, as where NVIDIA_VISIBLE_DEVICES=all in the image wins "
            "over the request"
        )
    return (
        "a GPU has failed or was taken from the driver, or engine/environment sets NVIDIA_VISIBLE_DEVICES or "
        "CUDA_VISIBLE_DEVICES"
    )
