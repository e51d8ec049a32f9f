"""Which Docker daemon is meant: the environment's, or the chosen context's. Pure but for the context's file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scout_deploy.machine import machine_name

DEFAULT_ADDRESS = "unix:///var/run/docker.sock"


@dataclass(frozen=True, kw_only=True)
class DockerAddress:
    """Where a daemon is reached.

    Args:
        source: Who said so, in words, such as `DOCKER_HOST`.
        context: Name of the Docker context that it comes from, with its TLS files; None for an address alone.
    """

    url: str
    source: str
    context: str | None = None

    @property
    def socket(self) -> Path | None:
        """The daemon's Unix socket; None where it is reached otherwise."""
        return Path(self.url.partition("://")[2] or self.url) if self.is_local else None

    @property
    def is_local(self) -> bool:
        """Whether the daemon shares this machine's files and loopback; only a Unix socket proves it."""
        return self.url.startswith(("unix://", "http+unix://", "/"))


def address_of_environment(environment: Mapping[str, str]) -> DockerAddress | None:
    """Return what DOCKER_HOST says; None where it says nothing and the context counts, as with Docker's own command."""
    if url := environment.get("DOCKER_HOST"):
        return DockerAddress(url=url, source="DOCKER_HOST")
    return None


def box_of(address: DockerAddress) -> str:
    """Name the machine that a daemon runs on, as measurements of it are kept."""
    return machine_name() if address.is_local else address.url
