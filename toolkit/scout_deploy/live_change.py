"""Settings that the proxy of a deployment of processes takes over as it runs; its supervisor hands them on."""

import time
from collections.abc import Mapping

from scout_deploy.api_client import ApiClient
from scout_deploy.deployment import DeploymentSpec
from scout_deploy.deployment_store import DeploymentStore
from scout_deploy.errors import DeployError
from scout_deploy.progress import Tell
from scout_deploy.proxy_settings import settings_of
from scout_deploy.runtimes.proxy_wait import wait_idle
from scout_proxy.route_table import RouteTableError, read_route_table

# A busy machine, as while engines load, may keep a process waiting for seconds.
_HANDED_ON_S = 30.0
_POLL_S = 0.05


def change_live(store: DeploymentStore, spec: DeploymentSpec, secret_files: Mapping[str, str], tell: Tell) -> None:
    """Declare the settings anew, and return when the proxy serves with them.

    Args:
        spec: What is to run; in all but these settings it is what runs.

    Raises:
        DeployError: Supervisor or proxy does not take them over; they are declared all the same.
    """
    tell("settings", "the proxy takes them over; nothing is started again")
    settings = settings_of(spec.routes)
    declared = store.read_spec()
    store.write_secrets(secret_files)
    store.write_spec(declared.model_copy(update={"settings": spec.settings, "routes": settings.on(declared.routes)}))
    revision = _handed_on(store, spec)
    client = ApiClient(spec.url, store.operator_key)
    if revision is None or not wait_idle(client, (), revision, timeout_s=_HANDED_ON_S):
        raise DeployError(
            f"the proxy has not taken over the new settings within {_HANDED_ON_S:g} s",
            next_step=f"scout-deploy logs {spec.name} shows why; scout-deploy down {spec.name}, then up, applies them",
        )
    store.forget_other_secrets(spec.routes)


def _handed_on(store: DeploymentStore, spec: DeploymentSpec) -> int | None:
    """Wait until the supervisor has written the settings, and return the table's revision; None if it does not."""
    deadline_s = time.monotonic() + _HANDED_ON_S
    while time.monotonic() < deadline_s:
        try:
            table = read_route_table(store.routes)
        except RouteTableError:
            table = None
        if table is not None and settings_of(table) == settings_of(spec.routes):
            return table.revision
        time.sleep(_POLL_S)
    return None
