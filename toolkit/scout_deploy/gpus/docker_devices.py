"""The GPUs that a Docker daemon tells of in `docker info`: how many, and by which names, but not what they are. Pure.

Unproven on hardware. Sources: CDI devices in `GET /info` since Docker 28.3 (https://github.com/moby/moby/pull/49980);
their names are those of `nvidia-ctk cdi generate`: an index, a UUID, `0:1` or `MIG-...` for an instance, and `all`;
generic resources are what an operator wrote into daemon.json as `node-generic-resources`
(https://docs.docker.com/reference/api/engine/version/v1.47/#tag/System/operation/SystemInfo).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from scout_deploy.containers.host import DockerHost
from scout_deploy.gpus.gpu import Vendor

_PREFIXES: dict[str, Vendor] = {"nvidia.com/gpu=": "nvidia", "amd.com/gpu=": "amd"}
_WORDS: dict[Vendor | None, str] = {"nvidia": "NVIDIA GPU", "amd": "AMD GPU", None: "GPU"}
_INSTANCE = re.compile(r"\d+:\d+|MIG-.*")
_KIND = re.compile(r"(?:^|[^a-z])gpus?(?:$|[^a-z])")


@dataclass(frozen=True, kw_only=True)
class DockerGpus:
    """What a daemon tells.

    Args:
        vendor: None where it does not say it.
        count: None where there are some, and it does not say how many.
        names: What it calls them.
        source: Where in its answer that is said, in words.
    """

    source: str
    vendor: Vendor | None = None
    count: int | None = None
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        words = f"{_WORDS[self.vendor]}{'' if self.count == 1 else 's'}"
        number = f"{words} of unknown number" if self.count is None else f"{self.count} {words}"
        return f"{number} ({' '.join((self.source, ', '.join(self.names))).rstrip()})"


def gpus_of_docker(host: DockerHost) -> DockerGpus | None:
    """Return what the daemon tells of GPUs; None where it tells of none."""
    for prefix, vendor in _PREFIXES.items():
        names = tuple(name.removeprefix(prefix) for name in host.cdi_devices if name.startswith(prefix))
        if names:
            return _of_cdi(vendor, names)
    named = _of_resources(host.generic_resources)
    if named is not None:
        return named
    if "nvidia" in host.runtimes:
        return DockerGpus(vendor="nvidia", source="it has NVIDIA's runtime")
    return None


def _of_cdi(vendor: Vendor, names: tuple[str, ...]) -> DockerGpus:
    whole = tuple(name for name in names if name != "all" and not _INSTANCE.fullmatch(name))
    # The same GPU may be there by its index and by its UUID.
    indexes = tuple(sorted((name for name in whole if name.isdigit()), key=int))
    chosen = indexes or whole
    if not chosen:
        instances = tuple(name for name in names if name != "all")
        source = "CDI devices, MIG instances alone:" if instances else "one CDI device for all"
        return DockerGpus(vendor=vendor, source=source, names=instances)
    return DockerGpus(vendor=vendor, count=len(chosen), names=chosen, source="CDI devices")


def _of_resources(resources: Sequence[str]) -> DockerGpus | None:
    # `gpu=4` counts; each `NVIDIA-GPU=GPU-6e3f` names one.
    found = [
        (kind, value) for kind, _, value in (one.partition("=") for one in resources) if _KIND.search(kind.lower())
    ]
    if not found:
        return None
    vendors = {vendor for kind, _ in found for vendor in ("nvidia", "amd") if vendor in kind.lower()}
    names = tuple(value for _, value in found if not value.isdigit())
    return DockerGpus(
        vendor="nvidia" if vendors == {"nvidia"} else "amd" if vendors == {"amd"} else None,
        count=len(names) + sum(int(value) for _, value in found if value.isdigit()),
        names=names,
        source="generic resources",
    )
