"""`scout-deploy down`."""

from typing import Annotated

import typer

from scout_deploy.cli.context import choose_deployment, process_runtime
from scout_deploy.cli.output import Output
from scout_deploy.errors import DeploymentNotFoundError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("down")(down)


def down(
    name: Annotated[str | None, typer.Argument(help="The deployment; may be left out where there is only one.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Stop a deployment: requests in flight are finished, then nothing of it is left."""
    output = Output(as_json=as_json)
    runtime = process_runtime()
    if name is None and not runtime.names():
        output.line("Nothing is running.")
        output.document({"stopped": None})
        return
    chosen = choose_deployment(runtime, name)
    with runtime.changing(chosen, "down"):
        # It may have gone away while the lock was taken.
        if not runtime.store(chosen).exists():
            raise DeploymentNotFoundError(f"deployment '{chosen}' is already gone")
        output.line(f"Stopping '{chosen}': requests in flight are finished first.")
        orphans = runtime.stop(chosen)
    if orphans:
        output.line(f"note: {len(orphans)} processes had lost their supervisor and were ended.", style="yellow")
    output.line(f"Stopped '{chosen}'.")
    output.document({"stopped": chosen, "orphans": [orphan.pid for orphan in orphans]})
