"""Whether the API's port can be had, asked before anything is started."""

from collections.abc import Callable

from scout_deploy.errors import DeployError, PortInUseError
from scout_deploy.processes import is_port_free, port_holder


def check_port(host: str, port: int, owner: Callable[[int], str | None]) -> None:
    """Return where the port is free.

    Args:
        owner: Names the deployment of ours that has a port, if one has it.

    Raises:
        PortInUseError: Somebody listens there.
        DeployError: The address is not of this machine, or not allowed to this user.
    """
    try:
        if is_port_free(host, port):
            return
    except OSError as exc:
        raise DeployError(
            f"cannot listen on {host} port {port}: {exc.strerror or exc}",
            next_step="choose an address of this machine with --set proxy.host=..., or another port with --port",
        ) from exc
    other = owner(port)
    first = "stop that program" if other is None else f"scout-deploy down {other}"
    holder = port_holder(port) or "a process that this user may not see"
    raise PortInUseError(
        f"port {port} is taken by {holder}",
        next_step=f"{first}, or choose another port: scout-deploy up --port PORT",
    )
