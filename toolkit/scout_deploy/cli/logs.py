"""`scout-deploy logs`."""

import sys
from enum import StrEnum
from typing import Annotated

import typer

from scout_deploy.cli.deployments import deployments
from scout_deploy.containers.log_lines import LogLine
from scout_deploy.deployment_store import DeploymentStore
from scout_deploy.errors import ProfileError
from scout_deploy.log_reader import LogFollower, last_lines
from scout_deploy.runtimes.container_logs import ContainerLogs
from scout_deploy.runtimes.container_runtime import ContainerRuntime


class Role(StrEnum):
    """Whose log."""

    PROXY = "proxy"
    ENGINE = "engine"
    SUPERVISOR = "supervisor"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("logs")(logs)


def logs(
    name: Annotated[
        str | None, typer.Argument(help="The deployment; without it the default one, or the only one.")
    ] = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")] = False,
    role: Annotated[list[Role] | None, typer.Option(help="Only this role's log. Repeatable.")] = None,
    tail: Annotated[int, typer.Option(min=0, help="How many of the last lines of each log.")] = 50,
) -> None:
    """Show what proxy, engines and supervisor wrote."""
    every = deployments()
    chosen = every.choose(name, usage="logs NAME")
    containers = every.of_containers(chosen)
    if containers is None:
        _show_files(every.processes.store(chosen), role or list(Role), follow=follow, tail=tail)
    else:
        _show_containers(containers, chosen, role, follow=follow, tail=tail)


def _show_files(store: DeploymentStore, roles: list[Role], *, follow: bool, tail: int) -> None:
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


def _show_containers(
    runtime: ContainerRuntime, name: str, roles: list[Role] | None, *, follow: bool, tail: int
) -> None:
    if roles == [Role.SUPERVISOR]:
        raise ProfileError("--role: got 'supervisor', expected proxy or engine: Docker itself looks after containers")
    wanted = frozenset(one.value for one in roles or (Role.PROXY, Role.ENGINE))
    source = ContainerLogs(runtime, name, wanted)
    seen = runtime.look(name)
    width = max((len(one.name) for one in seen.containers), default=0)
    is_alone = roles is not None and len(roles) == 1 and len(seen.engines) == 1

    def show(container: str, line: LogLine) -> None:
        _print(line.text if is_alone else f"{container:<{width}} | {line.text}")

    for container, line in source.tail(tail):
        show(container, line)
    if follow:
        for container, line in source.follow():
            show(container, line)


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
