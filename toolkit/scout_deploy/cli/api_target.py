"""Which API a command asks: a deployment's, with its own key, or one at an address."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from scout_deploy.api_client import ApiClient
from scout_deploy.cli.deployments import Deployments
from scout_deploy.containers.observation import image_digest
from scout_deploy.errors import ProfileError

DEFAULT_URL = "http://127.0.0.1:2025"
KEY_VARIABLE = "SCOUT_API_KEY"


@dataclass(frozen=True, kw_only=True)
class ApiTarget:
    """Where to ask, and what is known of who answers there.

    Args:
        read_key: Returns the key to ask with; None where there is none.
        settings: The flattened profile of the deployment; empty for an address.
        image_digest: Of the engines' image; None without containers.
    """

    url: str
    read_key: Callable[[], str | None]
    deployment: str | None = None
    profile: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    image_digest: str | None = None

    def client(self) -> ApiClient:
        """Return the way to it."""
        return ApiClient(self.url, self.read_key)


def own_key() -> str | None:
    """Return the API key of the user's environment."""
    return os.environ.get(KEY_VARIABLE) or None


def target_at(url: str) -> ApiTarget:
    """Return the API at an address.

    Raises:
        ProfileError: It is no address of an API, or has parts that would not be sent.
    """
    _check_address(url)
    return ApiTarget(url=url, read_key=own_key)


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or any(letter.isspace() for letter in url):
        raise ProfileError(
            f"--url: got {url!r}, expected an http or https address", next_step="as in --url http://127.0.0.1:2025"
        )
    if parts.username is not None or parts.password is not None:
        # Not shown: it may be a password.
        raise ProfileError(
            "--url: a name or password in the address is not sent",
            next_step=f"put the API key into the environment variable {KEY_VARIABLE}",
        )
    if parts.query or parts.fragment:
        raise ProfileError(f"--url: got {url!r}, expected the base address, without what follows ? or #")


def target_of(every: Deployments, name: str) -> ApiTarget:
    """Return the API of a deployment; whoever may look after it may ask it, with its own key."""
    containers = every.of_containers(name)
    if containers is None:
        spec = every.processes.observe(name).spec
        return ApiTarget(
            url=spec.url,
            read_key=lambda: own_key() or every.processes.store(name).operator_key(),
            deployment=name,
            profile=spec.profile,
            settings=spec.settings,
        )
    seen = containers.observe(name)
    return ApiTarget(
        url=seen.url or DEFAULT_URL,
        read_key=lambda: own_key() or containers.routes(name).operator_key(),
        deployment=name,
        profile=seen.profile or None,
        settings=seen.settings,
        image_digest=next((image_digest(one) for one in seen.engines), None),
    )
