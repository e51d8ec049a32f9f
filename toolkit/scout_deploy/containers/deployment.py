"""A deployment of containers, whole: what exactly will run, and under which names."""

from scout_deploy.containers.spec import ContainerSpec, Frozen, Mount
from scout_proxy.route_table import RouteTable, Upstream

ROUTES_FOLDER = "/var/lib/scout"
ROUTES_FILE = "routes.json"
WEIGHTS_VOLUME = "scout-weights"
WEIGHTS_FOLDER = "/weights"
PROXY_USER = 65532


class Names(Frozen):
    """What the parts of a deployment are called on the Docker host."""

    deployment: str

    @property
    def prefix(self) -> str:
        """The first part of every name; the default deployment's is not said twice."""
        return "scout" if self.deployment == "scout" else f"scout-{self.deployment}"

    @property
    def network(self) -> str:
        """The private network."""
        return self.prefix

    @property
    def routes_volume(self) -> str:
        """The volume that the route table lies in."""
        return f"{self.prefix}-routes"

    @property
    def proxy(self) -> str:
        """The proxy's container."""
        return f"{self.prefix}-proxy"

    def engine(self, generation: int, replica: int) -> str:
        """Return the name of an engine's container; an update makes a new generation beside the old one."""
        return f"{self.prefix}-engine-{generation}-{replica}"


class Weights(Frozen):
    """Where the engines' weights are.

    Args:
        mount: What an engine mounts, read-only.
        path: The model's directory, as an engine sees it.
        commit: Of the hub's repository; None for a directory of the user's own, or before it is resolved.
    """

    mount: Mount
    path: str
    commit: str | None = None


class ContainerDeployment(Frozen):
    """Everything that `up` creates.

    Args:
        settings: The resolved profile, flattened; what a later `up` is compared with.
        engines: One for each replica, in their order.
        routes: The first route table.
        start_timeout_s: Seconds from the engines' start until the first generation.
        stall_after_s: Seconds of silence that are called a stall.
        remarks: What the user should know beforehand.
    """

    name: str
    profile: str
    generation: int
    settings: dict[str, str]
    engine_kind: str
    host: str
    port: int
    proxy: ContainerSpec
    engines: tuple[ContainerSpec, ...]
    engine_port: int
    weights: Weights
    routes: RouteTable
    start_timeout_s: float
    stall_after_s: float
    remarks: tuple[str, ...] = ()

    @property
    def names(self) -> Names:
        """What its parts are called."""
        return Names(deployment=self.name)

    def upstreams(self) -> tuple[Upstream, ...]:
        """Return the engines as the proxy is told of them, none of them started yet."""
        return tuple(Upstream(id=one.name, url=f"http://{one.name}:{self.engine_port}") for one in self.engines)
