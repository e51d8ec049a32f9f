"""One deployment of containers at a glance, read from what the Docker host has of it. Pure."""

from dataclasses import dataclass

from scout_deploy.containers import labels
from scout_deploy.containers.deployment import Names
from scout_deploy.containers.observed import ObservedContainer
from scout_deploy.deployment import DeploymentState, reachable_url

# Compose's own label, on everything that it makes.
COMPOSE_PROJECT = "com.docker.compose.project"


@dataclass(frozen=True, kw_only=True)
class ContainerObservation:
    """What there is. All of it carries the deployment's label, so it is ours."""

    name: str
    containers: tuple[ObservedContainer, ...] = ()
    networks: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is there."""
        return not (self.containers or self.networks or self.volumes)

    @property
    def proxies(self) -> tuple[ObservedContainer, ...]:
        """The proxy's container; two of them while one is exchanged, or where that was interrupted."""
        return tuple(one for one in self.containers if one.labels.get(labels.ROLE) == "proxy")

    @property
    def is_of_compose(self) -> bool:
        """Whether Docker Compose started it, from a file that `render compose` wrote."""
        return any(COMPOSE_PROJECT in one.labels for one in self.containers)

    @property
    def proxy(self) -> ObservedContainer | None:
        """The proxy's container; of two the one that has the name."""
        name = Names(deployment=self.name).proxy
        return next((one for one in self.proxies if one.name == name), next(iter(self.proxies), None))

    @property
    def errands(self) -> tuple[ObservedContainer, ...]:
        """What fetches or looks at something for this deployment, and goes away by itself unless it is interrupted."""
        return tuple(one for one in self.containers if labels.TEMPORARY in one.labels)

    @property
    def all_engines(self) -> tuple[ObservedContainer, ...]:
        """Every engine, those of an update that is under way among them; the oldest generation first."""
        engines = (one for one in self.containers if one.labels.get(labels.ROLE) == "engine")
        return tuple(sorted(engines, key=lambda one: (generation_of(one), one.name)))

    @property
    def generation(self) -> int:
        """The newest generation that has proven itself, else the newest; 0 without engines."""
        engines = self.all_engines
        proven = [generation_of(one) for one in engines if one.policy != "no"]
        return max(proven or [generation_of(one) for one in engines] or [0])

    @property
    def engines(self) -> tuple[ObservedContainer, ...]:
        """The engines of the generation that counts."""
        return tuple(one for one in self.all_engines if generation_of(one) == self.generation)

    @property
    def other_engines(self) -> tuple[ObservedContainer, ...]:
        """What an interrupted update left, or one that is under way has."""
        return tuple(one for one in self.all_engines if generation_of(one) != self.generation)

    @property
    def settings_labels(self) -> dict[str, str]:
        """The labels of whichever part was made last: its word on the profile counts."""
        parts = [*self.engines, *([self.proxy] if self.proxy is not None else [])]
        return max(parts, key=lambda one: one.created_s).labels if parts else {}

    @property
    def settings(self) -> dict[str, str]:
        """The flattened profile that runs.

        Where the API is published, only the proxy knows: its exchange is the last step of an update.
        """
        settings = labels.read_settings(self.settings_labels)
        own = {} if self.proxy is None else self.proxy.labels
        published = {"proxy/host": own.get(labels.HOST), "proxy/port": own.get(labels.PORT)}
        return settings | {key: value for key, value in published.items() if value is not None and key in settings}

    @property
    def profile(self) -> str:
        """The profile's name, as the user gave it."""
        sources = sorted(self.containers, key=lambda one: -one.created_s)
        return next((one.labels[labels.PROFILE] for one in sources if labels.PROFILE in one.labels), "")

    @property
    def url(self) -> str | None:
        """Where a client on the Docker host reaches the API."""
        if self.proxy is None:
            return None
        own = self.proxy.labels
        return reachable_url(own.get(labels.HOST, "127.0.0.1"), labels.read_number(own, labels.PORT, 0))

    @property
    def replicas(self) -> int:
        """How many engines there should be."""
        return labels.read_number(self.settings, "replicas", len(self.engines) or 1)

    @property
    def state(self) -> DeploymentState | None:
        """How it is, in one word; None where parts are missing, as after an interrupted `up`.

        An engine's restart policy tells whether it has proven that it works: it is `no` until then.
        """
        engines = self.engines
        if self.proxy is None or len(engines) < self.replicas:
            return None
        if all(one.policy != "no" for one in engines):
            alive = all(one.is_running for one in (*engines, self.proxy))
            return DeploymentState.READY if alive else DeploymentState.RECOVERING
        if any(one.has_ended for one in engines):
            return DeploymentState.FAILED
        # What was made and never started would be waited for in vain.
        return DeploymentState.STARTING if all(one.is_running for one in (*engines, self.proxy)) else None


def image_digest(engine: ObservedContainer) -> str | None:
    """Return what tells an engine's image from others of its name: the registry's digest, else the image's own."""
    _, _, digest = engine.labels.get(labels.IMAGE, "").partition("@")
    return digest or engine.image_id or None


def generation_of(container: ObservedContainer) -> int:
    """Return an engine's generation; 0 where its label says none."""
    return labels.read_number(container.labels, labels.GENERATION, 0)
