"""Which image runs, and what its kind of hardware needs of its container.

Sources, at tag v3.3.7: the tags are made in .github/workflows/build.yaml; what a container needs is in
docs/source/installation_amd.md and installation_intel.md; no Dockerfile sets a USER, so all run as root.
"""

from dataclasses import dataclass, field

from scout_deploy.engines.container_engine import Accelerator
from scout_deploy.engines.tgi.versions import KNOWN_VERSIONS, nearest_version
from scout_deploy.profile.engine import Engine

REPOSITORY = "ghcr.io/huggingface/text-generation-inference"
_NO_NEW_PRIVILEGES = "no-new-privileges:true"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What one kind of hardware needs; see `ContainerSpec` for the fields of that name."""

    suffix: str
    devices: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    cap_add: tuple[str, ...] = ()
    security_options: tuple[str, ...] = (_NO_NEW_PRIVILEGES,)
    ulimits: dict[str, int] = field(default_factory=dict)


# NCCL and the drivers of GPUs lock memory; 64 MiB of stack is what NVIDIA's own images are documented with. A CPU needs
# neither, and a daemon that may not raise a limit, such as a rootless one, could start no container that asks for it.
_GPU_LIMITS = {"memlock": -1, "stack": 67_108_864}

_VARIANTS: dict[Accelerator, Variant] = {
    "nvidia": Variant(suffix="", ulimits=_GPU_LIMITS),
    # RCCL attaches to the memory of the other shards, which is what SYS_PTRACE and the missing filter are for. The
    # documentation's --ipc=host is not needed: all shards live in this one container and share its /dev/shm.
    "amd": Variant(
        suffix="-rocm",
        devices=("/dev/kfd", "/dev/dri"),
        groups=("video",),
        cap_add=("SYS_PTRACE",),
        security_options=(_NO_NEW_PRIVILEGES, "seccomp=unconfined"),
        ulimits=_GPU_LIMITS,
    ),
    # To bind threads and memory to a NUMA node. The documentation's --privileged is for Intel's GPUs.
    "intel-cpu": Variant(suffix="-intel-cpu", cap_add=("SYS_NICE",)),
}


def variant_of(accelerator: Accelerator) -> Variant:
    """Return what this kind of hardware needs."""
    return _VARIANTS[accelerator]


def image_of(engine: Engine, accelerator: Accelerator) -> str:
    """Return the image's reference; the profile's own is taken as it is."""
    return engine.image or f"{REPOSITORY}:{engine.version}{variant_of(accelerator).suffix}"


def version_problem(engine: Engine) -> str | None:
    """Say what is wrong with the version, if anything is; the version of an own image is its owner's business."""
    if engine.image is not None or engine.version in KNOWN_VERSIONS:
        return None
    text = engine.version or "nothing"
    return (
        f"engine/version: got {text}, expected a version of TGI that has an image, such as {nearest_version(text)} "
        f"(known: {KNOWN_VERSIONS[0]} to {KNOWN_VERSIONS[-1]})"
    )
