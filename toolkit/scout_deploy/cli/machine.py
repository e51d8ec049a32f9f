"""The machine that the user's environment means: this one, or that of the Docker daemon which DOCKER_HOST names."""

from collections.abc import Mapping

from scout_deploy.errors import DockerUnavailableError
from scout_deploy.gpus.inventory import read_local_inventory
from scout_deploy.plan_machine import PlanMachine, look_at_machine
from scout_deploy.runtimes.docker_engine import DockerEngine, daemon_address


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
