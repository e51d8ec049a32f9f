"""Settings that a proxy takes over as it runs: nothing is started again, and no connection is closed."""

import time

from scout_deploy.containers.observation import ContainerObservation
from scout_deploy.deployment import differences
from scout_deploy.errors import DeployError, ReplaceFailedError
from scout_deploy.progress import Tell
from scout_deploy.proxy_settings import changes, settings_of, started_settings
from scout_deploy.runtimes.container_runtime import ContainerRuntime
from scout_deploy.runtimes.preparation import Preparation
from scout_deploy.runtimes.proxy_wait import wait_idle
from scout_deploy.runtimes.route_board import RouteBoard
from scout_proxy.route_table import RouteTable

# A busy machine, as while engines load, may keep a process waiting for seconds.
_TAKEN_OVER_S = 30.0


def started_changes(preparation: Preparation, seen: ContainerObservation) -> tuple[str, ...]:
    """Say how what runs differs in what something has to be started again for."""
    changed = differences(started_settings(seen.settings), started_settings(preparation.settings))
    return (*changed, *preparation.pin_changes(seen))


def live_changes(preparation: Preparation, table: RouteTable | None) -> tuple[str, ...]:
    """Say how the proxy's table differs; nothing where it cannot be read."""
    return () if table is None else changes(settings_of(table), preparation.proxy_settings)


def change_live(runtime: ContainerRuntime, preparation: Preparation, seen: ContainerObservation, tell: Tell) -> None:
    """Let the proxy take the settings over, and return when it has.

    Raises:
        ReplaceFailedError: It has not; it serves with the old ones.
    """
    routes, link = runtime.routes(seen.name), runtime.link(seen)
    before = readable_table(runtime, seen)
    tell("settings", "the proxy takes them over; nothing is started again")
    routes.write_secrets(preparation.secret_files)
    board = RouteBoard(before, routes.write, time.monotonic)
    board.restore(preparation.proxy_settings.on(before), before.hold)
    if not wait_idle(link, (), board.table.revision, timeout_s=_TAKEN_OVER_S):
        board.restore(before, before.hold)
        raise ReplaceFailedError(
            f"the proxy has not taken over the new settings within {_TAKEN_OVER_S:g} s; it keeps the old ones",
            next_step=f"scout-deploy logs {seen.name} shows what it says of them",
        )
    routes.forget_others(board.table)


def readable_table(runtime: ContainerRuntime, seen: ContainerObservation) -> RouteTable:
    """Return the route table of a deployment.

    Raises:
        DeployError: There is none, or one of another version.
    """
    table = runtime.routes(seen.name).read()
    if table is None:
        raise DeployError(
            f"the route table of deployment '{seen.name}' cannot be read, or is of another version",
            next_step=f"scout-deploy down {seen.name}, then up again",
        )
    return table
