"""A deployment of containers as a Compose document that starts the same containers. Pure.

The names and the labels are the plan's, so that what Compose started is known to `scout-deploy status`, `logs` and
`down`. Two things differ on purpose. The route table is a file beside the document, because nobody writes it while
Compose starts; and the engines have the restart policy that `up` gives them after the first generation.
"""

from collections.abc import Callable, Mapping, Sequence

from scout_deploy.containers import labels
from scout_deploy.containers.deployment import ROUTES_FOLDER, WEIGHTS_VOLUME, ContainerDeployment
from scout_deploy.containers.spec import ContainerSpec, Mount
from scout_deploy.proxy_secrets import secret_files
from scout_deploy.render.service import Section, Value, service
from scout_deploy.weights_meter import UNRESOLVED
from scout_proxy.route_table import RouteTable, UpstreamState

PRIVATE_FOLDER = "private"
"""What lies in it tells of secrets. Its owner alone may enter, so that what is in it can be readable for a container's
user, whoever that is on the host."""

PRIVATE_ROUTES = f"{PRIVATE_FOLDER}/routes"
_OPEN_ROUTES = "routes"
_NETWORK = "private"
_PROXY = "proxy"
# Nobody knows the commit before the weights are fetched: Compose then ends with this message instead of starting.
_COMMIT_VARIABLE = "${SCOUT_WEIGHTS:?the weights were not here when this file was written, see its first lines}"


def compose_document(deployment: ContainerDeployment, *, build: Section | None = None) -> Section:
    """Return the document.

    Args:
        build: How Compose builds the proxy's image where it is not there; None where it is to be pulled.
    """
    engines = {f"engine-{engine.replica}": _proven(engine) for engine in deployment.engines}
    proxy = service(_with_routes_file(deployment), network=_NETWORK)
    if build is not None:
        # `never`: a tag of ours means what is built here, and nothing of that name in a registry.
        proxy.update(build=build, pull_policy="never")
    # What depends on others is stopped first: the proxy ends its requests while the engines still work.
    proxy["depends_on"] = list(engines)
    own: Section = {labels.DEPLOYMENT: deployment.name}
    services: Section = {name: service(engine, network=_NETWORK) for name, engine in engines.items()}
    document: Section = {
        "services": {_PROXY: proxy, **services},
        "networks": {_NETWORK: {"name": deployment.names.network, "driver": "bridge", "labels": own}},
    }
    if deployment.weights.mount.kind == "volume":
        document["volumes"] = {deployment.weights.mount.source: {"name": WEIGHTS_VOLUME, "external": True}}
    write = _literal(deployment)
    return {key: _written(value, write) for key, value in document.items()}


def routes_folder(deployment: ContainerDeployment) -> str:
    """Return the folder of the route table, beside the document."""
    return PRIVATE_ROUTES if secret_files(deployment.routes) else _OPEN_ROUTES


def compose_routes(deployment: ContainerDeployment) -> RouteTable:
    """Return the route table: the upstreams run as far as it knows, since the proxy itself finds out when."""
    running = (one.model_copy(update={"state": UpstreamState.RUNNING}) for one in deployment.upstreams())
    return deployment.routes.model_copy(update={"upstreams": tuple(running)})


def lacks_weights(deployment: ContainerDeployment) -> bool:
    """Tell whether the weights' commit is not known yet, so that Compose must not start it."""
    return deployment.weights.commit is None and deployment.weights.path.endswith(f"/{UNRESOLVED}")


def _proven(engine: ContainerSpec) -> ContainerSpec:
    return engine.model_copy(update={"restart": "unless-stopped"})


def _with_routes_file(deployment: ContainerDeployment) -> ContainerSpec:
    """Mount the folder, not the file: an editor replaces a file, and a mounted one would stay the old one."""
    proxy, source = deployment.proxy, f"./{routes_folder(deployment)}"
    routes = Mount(kind="bind", source=source, target=ROUTES_FOLDER, read_only=True)
    mounts = tuple(routes if mount.target == ROUTES_FOLDER else mount for mount in proxy.mounts)
    return proxy.model_copy(update={"mounts": mounts})


def _literal(deployment: ContainerDeployment) -> Callable[[str], str]:
    """Return how a text is written: Compose puts variables into it, and only the unknown commit is one."""
    unknown = deployment.weights.path
    known = f"{unknown.removesuffix(UNRESOLVED)}{_COMMIT_VARIABLE}" if lacks_weights(deployment) else unknown
    return lambda text: text.replace("$", "$$").replace(unknown, known)


def _written(value: Value, write: Callable[[str], str]) -> Value:
    if isinstance(value, str):
        return write(value)
    if isinstance(value, Mapping):
        return {key: _written(one, write) for key, one in value.items()}
    if isinstance(value, Sequence):
        return [_written(one, write) for one in value]
    return value
