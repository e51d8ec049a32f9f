"""The machine that the user's environment means: this one, or that of the Docker daemon which DOCKER_HOST names."""

from collections.abc import Mapping

from scout_deploy.errors import DockerUnavailableError
from scout_deploy.gpus.inventory import read_local_inventory
from scout_deploy.plan_machine import PlanMachine, look_at_machine, look_at_memory
from scout_deploy.processes import available_bytes, memory_bytes
from scout_deploy.runtimes.docker_engine import DockerEngine, daemon_address


def machine_with_memory(environment: Mapping[str, str]) -> PlanMachine:
    """Look at the memory of the machine that a deployment of containers would run on, for engines on its CPU."""
    try:
        address = daemon_address(environment)
    except DockerUnavailableError:
        total, held = _memory()
        return PlanMachine(memory_bytes=total, held_bytes=held)
    return look_at_memory(
        environment,
        is_local=address.is_local,
        address=address.url,
        connect=DockerEngine.connect,
        read_memory=_memory,
    )


def _memory() -> tuple[int, int]:
    total = memory_bytes()
    return total, total - available_bytes()


def machine(environment: Mapping[str, str]) -> PlanMachine:
    """Look at the machine that a deployment of containers would run on; nothing is started there."""
    try:
        address = daemon_address(environment)
    except DockerUnavailableError as error:
        # A context that cannot be read names no other machine.
        return PlanMachine(inventory=read_local_inventory(), silence=error.message)
    return look_at_machine(
        environment,
        is_local=address.is_local,
        address=address.url,
        connect=DockerEngine.connect,
        read_gpus=read_local_inventory,
    )
