"""`scout-deploy logs`."""

import sys
from enum import StrEnum
from typing import Annotated

import typer

from scout_deploy.cli.context import choose_deployment, process_runtime
from scout_deploy.log_reader import LogFollower, last_lines


class Role(StrEnum):
    """Whose log."""

    PROXY = "proxy"
    ENGINE = "engine"
    SUPERVISOR = "supervisor"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("logs")(logs)


def logs(
    name: Annotated[str | None, typer.Argument(help="The deployment; may be left out where there is only one.")] = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")] = False,
    role: Annotated[list[Role] | None, typer.Option(help="Only this role's log. Repeatable.")] = None,
    tail: Annotated[int, typer.Option(min=0, help="How many of the last lines of each log.")] = 50,
) -> None:
    """Show what proxy, engine and supervisor wrote."""
    runtime = process_runtime()
    store = runtime.store(choose_deployment(runtime, name))
    roles = role or list(Role)
    prefixes = {one: f"{one.value:<10} | " if len(roles) > 1 else "" for one in roles}
    followers = {one: LogFollower(store.log(one.value)) for one in roles}
    for one in roles:
        for line in last_lines(store.log(one.value), tail):
            _print(prefixes[one] + line)
    while follow and store.exists():
        for one, follower in followers.items():
            for line in follower.new_lines():
                _print(prefixes[one] + line)
        LogFollower.wait()


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
