"""What every command needs of the user's environment."""

import os

from scout_deploy.errors import DeploymentNotFoundError
from scout_deploy.runtimes.process_runtime import ProcessRuntime
from scout_deploy.xdg import user_directories

DEFAULT_DEPLOYMENT = "scout"

# A week. Sockets and clocks refuse what is far beyond it, infinity included.
MAX_TIMEOUT_S = 604_800.0


def process_runtime() -> ProcessRuntime:
    """Return the runtime over this user's directories."""
    return ProcessRuntime(user_directories(os.environ))


def choose_deployment(runtime: ProcessRuntime, name: str | None) -> str:
    """Return the deployment that is meant: the named one, or the only one.

    Raises:
        DeploymentNotFoundError: It is not there, or there are several and none was named.
    """
    names = runtime.names()
    if name in names:
        return str(name)
    if name is None and len(names) == 1:
        return names[0]
    if not names:
        what = "no deployment is running" if name is None else f"no deployment is named '{name}'; none is running"
        raise DeploymentNotFoundError(what, next_step="scout-deploy up")
    what = "there are several deployments" if name is None else f"no deployment is named '{name}'"
    raise DeploymentNotFoundError(f"{what}: {', '.join(names)}", next_step="name one of them")
