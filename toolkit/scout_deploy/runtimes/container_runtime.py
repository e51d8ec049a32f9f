"""Deployments of containers on one Docker host: found by their labels, looked at, and taken down."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from scout_deploy.api_client import ApiClient
from scout_deploy.containers import labels
from scout_deploy.containers.deployment import Names
from scout_deploy.containers.observation import ContainerObservation
from scout_deploy.containers.observed import ObservedContainer
from scout_deploy.deployment import reachable_url
from scout_deploy.deployment_lock import changing
from scout_deploy.errors import DeployError, DeploymentNotFoundError
from scout_deploy.runtimes.docker_engine import DockerEngine
from scout_deploy.runtimes.docker_errors import DaemonRefusedError
from scout_deploy.runtimes.proxy_link import ContainerLink, ProxyLink
from scout_deploy.runtimes.route_volume import RouteVolume
from scout_deploy.xdg import UserDirectories

_PROXY_STOP_S = 40
_ENGINE_STOP_S = 120
_UNPROVEN_STOP_S = 10


class ContainerRuntime:
    """Knows nothing of profiles: what is deployed is what the labels say."""

    def __init__(self, engine: DockerEngine, directories: UserDirectories) -> None:
        self.engine = engine
        self.directories = directories

    def names(self) -> tuple[str, ...]:
        """Return every deployment of which something is left on the host."""
        things = [
            *(one.labels for one in self.engine.containers(labels.DEPLOYMENT)),
            *self.engine.networks(labels.DEPLOYMENT).values(),
            *self.engine.volumes(labels.DEPLOYMENT).values(),
        ]
        return tuple(sorted({one[labels.DEPLOYMENT] for one in things if labels.DEPLOYMENT in one}))

    @contextlib.contextmanager
    def changing(self, name: str, command: str) -> Iterator[None]:
        """Keep every other command of this user from changing this deployment meanwhile.

        Raises:
            DeploymentBusyError: Another command is changing it now.
            StateError: The state directory cannot be written.
        """
        with changing(self.directories.deployments, name, command):
            yield

    def observe(self, name: str) -> ContainerObservation:
        """Look at a deployment.

        Raises:
            DeploymentNotFoundError: Nothing of it is there.
        """
        seen = self.look(name)
        if seen.is_empty:
            raise DeploymentNotFoundError(f"no deployment is named '{name}' on {self.engine.address.url}")
        return seen

    def look(self, name: str) -> ContainerObservation:
        """Look at a deployment, whether it is there or not."""
        own = labels.of_deployment(name)
        return ContainerObservation(
            name=name,
            containers=self.engine.containers(own),
            networks=tuple(self.engine.networks(own)),
            volumes=tuple(self.engine.volumes(own)),
        )

    def link(self, seen: ContainerObservation) -> ProxyLink:
        """Return the way to the deployment's proxy."""
        own = {} if seen.proxy is None else seen.proxy.labels
        return self.link_to(seen.name, own.get(labels.HOST, "127.0.0.1"), int(own.get(labels.PORT, "0")))

    def link_to(self, name: str, host: str, port: int) -> ProxyLink:
        """Return the way to a deployment's proxy, which is published there."""
        if self.engine.address.is_local and port:
            return ApiClient(reachable_url(host, port), self.routes(name).operator_key)
        return ContainerLink(self.engine, Names(deployment=name).proxy)

    def routes(self, name: str) -> RouteVolume:
        """Return the deployment's route table."""
        return RouteVolume(self.engine, Names(deployment=name).proxy)

    def taken_gpus(self) -> dict[int, str]:
        """Return which deployment holds which GPU of the host."""
        return {
            index: one.labels[labels.DEPLOYMENT]
            for one in self.engine.containers(f"{labels.ROLE}=engine")
            if not one.has_ended
            for index in labels.read_gpus(one.labels)
        }

    def port_owner(self, port: int) -> str | None:
        """Return the deployment that publishes this port, if one does."""
        for one in self.engine.containers(f"{labels.ROLE}=proxy"):
            if one.labels.get(labels.PORT) == str(port):
                return one.labels.get(labels.DEPLOYMENT)
        return None

    def users_of_volume(self, volume: str) -> tuple[str, ...]:
        """Return the deployments whose containers mount this volume."""
        return tuple(
            sorted({one.labels.get(labels.DEPLOYMENT, one.name) for one in self.engine.containers_with_volume(volume)})
        )

    def stop(self, name: str) -> ContainerObservation:
        """Take a deployment down, whatever state it is in, and return what was there. Blocks while it drains.

        The proxy ends first: it finishes what it accepted while its engines still work.

        Raises:
            DeployError: Somebody else's container uses its network or its volume, which stays.
        """
        seen = self.look(name)
        if seen.proxy is not None:
            self.engine.stop(seen.proxy.id, timeout_s=_stop_timeout(seen.proxy.labels, _PROXY_STOP_S))
            self.engine.remove(seen.proxy.id)
        self.stop_containers(*(one for one in seen.containers if one != seen.proxy))
        stay = [
            *_kept("network", seen.networks, self.engine.remove_network),
            *_kept("volume", seen.volumes, self.engine.remove_volume),
        ]
        if stay:
            raise DeployError(
                f"deployment '{name}' is stopped, but a container that is not its own still uses what is left of it",
                next_step=f"remove or disconnect that container, then scout-deploy down {name}",
                evidence=tuple(stay),
            )
        return seen

    def stop_containers(self, *containers: ObservedContainer, remove: bool = True) -> None:
        """End these containers at the same time; one that has served gets the time that its own drain takes."""
        if not containers:
            return

        def end(one: ObservedContainer) -> None:
            # Before it has handlers for signals, a container's first process ignores them.
            self.engine.stop(one.id, timeout_s=_UNPROVEN_STOP_S if one.policy == "no" else _ENGINE_STOP_S)
            if remove:
                self.engine.remove(one.id)

        with ThreadPoolExecutor(max_workers=len(containers)) as pool:
            list(pool.map(end, containers))


def _stop_timeout(own: dict[str, str], otherwise_s: int) -> int:
    text = own.get(labels.STOP_TIMEOUT, "")
    return int(text) if text.isdigit() else otherwise_s


def _kept(kind: str, names: Iterable[str], remove: Callable[[str], None]) -> Iterator[str]:
    """Remove what can be removed, and say of the rest why it stays."""
    for name in names:
        try:
            remove(name)
        except DaemonRefusedError as exc:
            yield f"{kind} {name}: {exc.reason}"
