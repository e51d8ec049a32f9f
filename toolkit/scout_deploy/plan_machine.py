"""The machine that a plan is for where no GPUs are named: the one that runs the containers, as far as one can see."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from scout_deploy.containers.host import DockerHost
from scout_deploy.errors import DockerUnavailableError
from scout_deploy.gpus.docker_devices import DockerGpus, gpus_of_docker
from scout_deploy.gpus.inventory import Inventory
from scout_deploy.runtimes.docker_errors import DaemonRefusedError


class Daemon(Protocol):
    """What is asked of a Docker daemon."""

    def facts(self) -> DockerHost:
        """Return what it says of itself."""

    def close(self) -> None:
        """Close the connections."""


@dataclass(frozen=True, kw_only=True)
class PlanMachine:
    """One machine.

    Args:
        name: For a person: `this machine`, or Docker's.
        is_local: Whether it is this one; of another, `inventory` is empty.
        announced: GPUs that its Docker daemon tells of; asked for only where the drivers here tell of none.
        memory_bytes: That it has; None where that was not asked, or not told.
        held_bytes: Of it in use; of another machine nobody tells.
        silence: Why its daemon could not be asked.
    """

    name: str = "this machine"
    is_local: bool = True
    inventory: Inventory = field(default_factory=Inventory)
    announced: DockerGpus | None = None
    memory_bytes: int | None = None
    held_bytes: int = 0
    silence: str | None = None


def look_at_machine(
    environment: Mapping[str, str],
    *,
    is_local: bool,
    address: str,
    connect: Callable[[Mapping[str, str]], Daemon],
    read_gpus: Callable[[], Inventory],
) -> PlanMachine:
    """Look at the machine of the Docker daemon that is meant; nothing is started there.

    Args:
        is_local: Whether that is this machine.
        address: Of the daemon.
        connect: Opens the daemon; it may raise `DockerUnavailableError`.
        read_gpus: Asks the drivers of this machine.
    """
    inventory = read_gpus() if is_local else Inventory()
    if inventory.gpus:
        return PlanMachine(inventory=inventory)
    host, silence = _facts(environment, connect)
    return PlanMachine(
        name="this machine" if is_local else _other(address),
        is_local=is_local,
        inventory=inventory,
        announced=None if host is None else gpus_of_docker(host),
        silence=silence,
    )


def look_at_memory(
    environment: Mapping[str, str],
    *,
    is_local: bool,
    address: str,
    connect: Callable[[Mapping[str, str]], Daemon],
    read_memory: Callable[[], tuple[int, int]],
) -> PlanMachine:
    """Look at the memory of the machine of the Docker daemon that is meant, for an engine that computes on the CPU.

    Args:
        is_local: Whether that is this machine.
        address: Of the daemon.
        connect: Opens the daemon; it may raise `DockerUnavailableError`.
        read_memory: Returns what this machine has of memory, and what of it is in use.
    """
    if is_local:
        total, held = read_memory()
        return PlanMachine(memory_bytes=total, held_bytes=held)
    host, silence = _facts(environment, connect)
    return PlanMachine(
        name=_other(address),
        is_local=False,
        memory_bytes=None if host is None else host.memory_bytes or None,
        silence=silence,
    )


def _facts(
    environment: Mapping[str, str], connect: Callable[[Mapping[str, str]], Daemon]
) -> tuple[DockerHost | None, str | None]:
    """Return what the daemon says of itself, or why it says nothing."""
    try:
        daemon = connect(environment)
        try:
            return daemon.facts(), None
        finally:
            daemon.close()
    except DockerUnavailableError as error:
        return None, error.message
    except DaemonRefusedError as error:
        return None, error.reason


def _other(address: str) -> str:
    return f"Docker's machine ({address})"
