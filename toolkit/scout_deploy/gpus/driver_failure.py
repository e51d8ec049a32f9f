"""Why NVIDIA's driver does not show its GPUs, and what helps: the same whether its library or its tool says it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class KnownFailure:
    """Why the driver could not show the GPUs, and what helps."""

    cause: str
    remedy: str


DRIVER_UPDATED = KnownFailure(
    cause="the NVIDIA driver was updated while its old kernel module is still loaded", remedy="restart the machine"
)
MODULE_NOT_LOADED = KnownFailure(
    cause="the NVIDIA driver's kernel module is not loaded",
    remedy="install the driver for the running kernel, or restart the machine",
)
NO_WORKING_GPU = KnownFailure(
    cause="the NVIDIA driver is loaded and finds no working GPU", remedy="sudo dmesg | grep NVRM shows the reason"
)
ACCESS_TAKEN = KnownFailure(
    cause="access to the GPU's device files was taken away, as systemd does to running containers "
    "(https://github.com/NVIDIA/nvidia-docker/issues/1730)",
    remedy="start the container again",
)
NOT_PERMITTED = KnownFailure(
    cause="this user may not open the GPU's device files; in a container, SELinux may forbid it too",
    remedy="see the permissions and the group of /dev/nvidia*",
)
# Of NVIDIA's hook, where a container is started.
HOOK_FINDS_NO_DRIVER = KnownFailure(
    cause=MODULE_NOT_LOADED.cause, remedy="sudo modprobe nvidia, or restart the machine"
)
GPU_LOST = KnownFailure(
    cause="the GPU fell off its bus, or has failed",
    remedy="sudo dmesg | grep -i xid shows the reason; restart the machine",
)
GPU_NEEDS_RESET = KnownFailure(
    cause="the GPU had an error that only a reset clears", remedy="sudo nvidia-smi --gpu-reset, or restart the machine"
)
