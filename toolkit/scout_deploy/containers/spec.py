"""One container as it is to run, in the words of no particular API: the Docker runtime and the renderers read it."""

import hashlib
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from scout_deploy.containers import labels

Role = Literal["engine", "proxy", "download"]

_CDI_KINDS = {"nvidia": "nvidia.com/gpu", "amd": "amd.com/gpu", "intel": "intel.com/gpu"}


class Frozen(BaseModel):
    """A value: compared by equality, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Mount(Frozen):
    """What is mounted.

    Args:
        kind: `volume` (source is its name), `bind` (source is a path on the Docker host) or `tmpfs` (no source).
    """

    kind: Literal["volume", "bind", "tmpfs"]
    source: str = ""
    target: str
    read_only: bool = False
    size_bytes: int | None = None


class PublishedPort(Frozen):
    """A port of the container, opened on an address of the Docker host."""

    container_port: int
    host: str
    port: int


class GpuDevices(Frozen):
    """The GPUs that a container gets.

    Args:
        ids: The driver's index of each, or its UUID, or its CDI name without the vendor's kind.
        access: `device-request` and `cdi` are Docker's two ways for NVIDIA; `devices` hands over device files (AMD,
            Intel).
    """

    vendor: Literal["nvidia", "amd", "intel"]
    ids: tuple[str, ...]
    access: Literal["device-request", "cdi", "devices"] = "device-request"

    @property
    def cdi_names(self) -> tuple[str, ...]:
        """Their whole names as CDI devices."""
        return tuple(f"{_CDI_KINDS[self.vendor]}={one}" for one in self.ids)


class HealthCheck(Frozen):
    """What Docker runs inside the container to show its health; nothing is restarted by it."""

    argv: tuple[str, ...]
    interval_s: float = 30.0
    timeout_s: float = 30.0
    start_period_s: float = 0.0
    retries: int = 3


class LogRotation(Frozen):
    """How much of a container's log Docker keeps."""

    max_bytes: int = 50 * 2**20
    files: int = 3


class ContainerSpec(Frozen):
    """One container.

    Args:
        name: Also its name on the deployment's network.
        replica: Which of the engines, from 0; None for the others.
        entrypoint: Instead of the image's; None leaves that.
        command: After the entrypoint; never a secret.
        environment: Never a secret: whoever may inspect the container reads it.
        devices: Device files of the host, handed over as they are.
        ulimits: Name and value; -1 is unlimited.
        restart: `no` until it has proven that it works.
        ipc: `private`, or `host` where the engine's shards need it.
    """

    name: str
    role: Role
    replica: int | None = None
    image: str
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] = ()
    environment: dict[str, str] = Field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    gpus: GpuDevices | None = None
    devices: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    shm_size_bytes: int | None = None
    ulimits: dict[str, int] = Field(default_factory=dict)
    ipc: Literal["private", "host"] = "private"
    user: str | None = None
    read_only: bool = False
    cap_drop: tuple[str, ...] = ("ALL",)
    cap_add: tuple[str, ...] = ()
    security_options: tuple[str, ...] = ("no-new-privileges:true",)
    stop_timeout_s: int = 10
    stop_signal: str = "SIGTERM"
    restart: Literal["no", "unless-stopped"] = "no"
    health: HealthCheck | None = None
    logs: LogRotation = LogRotation()
    labels: dict[str, str] = Field(default_factory=dict)

    def fingerprint(self) -> str:
        """Return a hash of what runs: the same for two containers that differ in name and labels alone."""
        return hashlib.sha256(self.model_dump_json(exclude={"name", "labels"}).encode()).hexdigest()[:16]

    def with_fingerprint(self) -> Self:
        """Return it with a label that has its fingerprint."""
        return self.model_copy(update={"labels": self.labels | {labels.CONFIG: self.fingerprint()}})
