"""What a Docker daemon answers, as values of this product. Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scout_deploy.containers.host import DockerHost
from scout_deploy.runtimes.docker_address import DockerAddress


@dataclass(frozen=True, kw_only=True)
class ExecResult:
    """What a command inside a container printed, both streams together, and its exit status."""

    code: int
    output: str


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image that the daemon has.

    Args:
        digests: `repository@sha256:...` of each registry it came from; empty for one that was built or loaded.
        size_bytes: As the daemon counts it; about what an archive of it takes.
    """

    id: str
    digests: tuple[str, ...]
    labels: Mapping[str, str]
    environment: tuple[str, ...]
    size_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class LogStream:
    """A container's log as it grows; `close` ends the iteration from another thread."""

    chunks: Iterator[bytes]
    close: Callable[[], None]


def host_of(address: DockerAddress, info: Mapping[str, Any], version: Mapping[str, Any]) -> DockerHost:
    """Read the daemon's answers to `docker info` and `docker version`."""
    devices = info.get("DiscoveredDevices") or ()
    return DockerHost(
        address=address.url,
        is_local=address.is_local,
        server_version=version.get("Version", ""),
        api_version=version.get("ApiVersion", ""),
        os=info.get("OSType", "linux"),
        architecture=info.get("Architecture", ""),
        runtimes=tuple(sorted(info.get("Runtimes") or ())),
        cdi_devices=tuple(sorted(one["ID"] for one in devices if one.get("Source") == "cdi")),
        generic_resources=tuple(_resource(one) for one in info.get("GenericResources") or ()),
        security=tuple(_security_name(option) for option in info.get("SecurityOptions") or ()),
        memory_bytes=info.get("MemTotal", 0),
        cpus=info.get("NCPU", 0),
        root_dir=info.get("DockerRootDir", ""),
        name=info.get("Name", ""),
        has_cgroups=info.get("CgroupDriver") != "none",
        components=tuple(one["Name"] for one in version.get("Components") or ()),
    )


def image_of(answer: Mapping[str, Any]) -> Image:
    """Read the daemon's answer to `docker image inspect`."""
    config = answer.get("Config") or {}
    return Image(
        id=answer["Id"],
        digests=tuple(answer.get("RepoDigests") or ()),
        labels=dict(config.get("Labels") or {}),
        environment=tuple(config.get("Env") or ()),
        size_bytes=answer.get("Size") or 0,
    )


def memory_of(answer: Mapping[str, Any]) -> int | None:
    """Read the memory that a container takes off its statistics, caches not counted; None where they do not say it."""
    usage = answer.get("memory_stats") or {}
    if "usage" not in usage:
        return None
    stats = usage.get("stats") or {}
    cache = stats.get("total_inactive_file", stats.get("inactive_file", 0))
    return max(0, int(usage["usage"]) - int(cache))


def _resource(one: Mapping[str, Any]) -> str:
    spec = one.get("NamedResourceSpec") or one.get("DiscreteResourceSpec") or {}
    return f"{spec.get('Kind', '')}={spec.get('Value', '')}"


def _security_name(option: str) -> str:
    # Such as "name=seccomp,profile=default".
    return option.partition(",")[0].removeprefix("name=")
