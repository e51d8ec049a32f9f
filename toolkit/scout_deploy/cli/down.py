"""`scout-deploy down`."""

from typing import Annotated

import typer

from scout_deploy.cli.deployments import Deployments, deployments
from scout_deploy.cli.output import Output
from scout_deploy.containers import labels
from scout_deploy.containers.deployment import WEIGHTS_VOLUME
from scout_deploy.errors import DeploymentNotFoundError
from scout_deploy.runtimes.container_runtime import ContainerRuntime
from scout_deploy.runtimes.process_runtime import ProcessRuntime


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("down")(down)


def down(
    name: Annotated[
        str | None, typer.Argument(help="The deployment; without it the default one, or the only one.")
    ] = None,
    *,
    volumes: Annotated[
        bool,
        typer.Option(
            "--volumes", help="Remove the volume of weights on the Docker host too, unless another deployment uses it."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Stop a deployment: requests in flight are finished, then nothing of it is left."""
    output = Output(as_json=as_json)
    every = deployments()
    if name is None and not every.names() and every.docker_problem is None:
        output.line("Nothing is running.")
        document: dict[str, object] = {"stopped": None}
    else:
        document = _stop(output, every, every.choose(name, usage="down NAME"))
    if volumes and every.containers is not None:
        document["weights_removed"] = _remove_weights(output, every.containers)
    output.document(document)


def _stop(output: Output, every: Deployments, chosen: str) -> dict[str, object]:
    containers = every.of_containers(chosen)
    if containers is None:
        return _stop_processes(output, every.processes, chosen)
    with containers.changing(chosen, "down"):
        output.line(f"Stopping '{chosen}': requests in flight are finished first.")
        seen = containers.stop(chosen)
    output.line(f"Stopped '{chosen}': {len(seen.containers)} containers are gone.")
    return {"stopped": chosen, "containers": [one.name for one in seen.containers]}


def _stop_processes(output: Output, runtime: ProcessRuntime, chosen: str) -> dict[str, object]:
    with runtime.changing(chosen, "down"):
        # It may have gone away while the lock was taken.
        if not runtime.store(chosen).exists():
            raise DeploymentNotFoundError(f"deployment '{chosen}' is already gone")
        output.line(f"Stopping '{chosen}': requests in flight are finished first.")
        orphans = runtime.stop(chosen)
    if orphans:
        output.line(f"note: {len(orphans)} processes had lost their supervisor and were ended.", style="yellow")
    output.line(f"Stopped '{chosen}'.")
    return {"stopped": chosen, "orphans": [orphan.pid for orphan in orphans]}


def _remove_weights(output: Output, runtime: ContainerRuntime) -> bool:
    """Remove the volume of weights; the hub's cache on this machine is the user's and stays."""
    own = runtime.engine.volume_labels(WEIGHTS_VOLUME)
    if own is None:
        output.line("There is no volume of weights; the hub's cache on this machine is left alone.")
        return False
    if own.get(labels.ROLE) != labels.WEIGHTS:
        output.line(f"The volume '{WEIGHTS_VOLUME}' stays: scout-deploy did not make it.", style="yellow")
        return False
    if users := runtime.users_of_volume(WEIGHTS_VOLUME):
        output.line(f"The volume '{WEIGHTS_VOLUME}' stays: {', '.join(users)} uses it.", style="yellow")
        return False
    runtime.engine.remove_volume(WEIGHTS_VOLUME)
    output.line(f"Removed the volume '{WEIGHTS_VOLUME}'.")
    return True
