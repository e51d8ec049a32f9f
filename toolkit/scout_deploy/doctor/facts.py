"""What the checks look at, gathered beforehand."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from scout_deploy.containers.host import DockerHost
from scout_deploy.gpus.inventory import Inventory


@dataclass(frozen=True, kw_only=True)
class DaemonSeen:
    """A Docker daemon that answered.

    Args:
        clock_ahead_s: How much its clock is ahead of this machine's; None where it did not say the time.
        gpu_hook: Whether NVIDIA's hook is installed where it runs; None where that cannot be seen.
    """

    host: DockerHost
    clock_ahead_s: float | None = None
    gpu_hook: bool | None = None


@dataclass(frozen=True, kw_only=True)
class DaemonMissed:
    """No Docker daemon answered: why, and what to do."""

    reason: str
    next_step: str | None = None


@dataclass(frozen=True, kw_only=True)
class Disk:
    """Room on a file system.

    Args:
        purpose: What will be put there, such as `Docker's images and volumes`.
        path: The folder; it need not be there yet.
        free_bytes: Of this user; None where it cannot be seen.
    """

    purpose: str
    path: str
    free_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class Port:
    """The address that the API is to listen on.

    Args:
        is_free: Whether it can be listened on now.
        holder: Who listens there, where that can be seen.
        problem: Why it cannot be listened on, where it is not somebody else.
    """

    host: str
    number: int
    is_free: bool
    holder: str | None = None
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Whether a host of the internet was reached with TLS.

    Args:
        purpose: What comes from it, such as `TGI's image`.
        through: The proxy that was used, without its credentials.
        problem: Why not; None where it was reached.
    """

    host: str
    purpose: str
    through: str | None = None
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """What the embedded engine needs.

    Args:
        has_avx2: Whether the CPU has the instructions that llama.cpp is built for; None where it does not say.
        model_problem: Why the profile's model file, or without one the demonstration model, cannot be served.
    """

    is_installed: bool
    has_avx2: bool | None
    model_problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything that the checks look at.

    Args:
        inventory: The GPUs of this machine.
        taken: Index of a GPU and the deployment that has it.
        shm_bytes: Size of this machine's /dev/shm; None where there is none.
        has_token: Whether there is a token for the Hugging Face hub; the token itself is never read further.
    """

    daemon: DaemonSeen | DaemonMissed
    inventory: Inventory
    port: Port
    embedded: Embedded
    taken: Mapping[int, str] = field(default_factory=dict)
    disks: tuple[Disk, ...] = ()
    shm_bytes: int | None = None
    has_token: bool = False
    reached: tuple[Reach, ...] = ()
    python: str = ""
