"""What a profile may ask for and no deployment of containers would do. Pure."""

from collections.abc import Iterator
from ipaddress import ip_address

from scout_deploy.profile.profile import Profile


def refused_settings(profile: Profile) -> Iterator[str]:
    """Name each setting that would not be honoured, one line for each."""
    if profile.model.id is None and profile.model.path is None:
        yield f"model: got neither id nor path; {profile.engine.kind} has no model of its own"
    if published_address(profile.proxy.host) is None:
        yield (
            f"proxy/host: got {profile.proxy.host!r}, expected an IP address of the Docker host, such as 127.0.0.1 or "
            "0.0.0.0: Docker publishes a port on addresses, not on names"
        )


def published_address(host: str) -> str | None:
    """Return `proxy/host` as the IP address to publish on; None for a name other than `localhost`.

    Docker takes any name for no address at all, and publishes on every one (seen with 20.10.24).
    """
    if host == "localhost":
        return "127.0.0.1"
    try:
        return str(ip_address(host))
    except ValueError:
        return None
