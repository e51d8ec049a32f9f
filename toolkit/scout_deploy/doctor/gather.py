"""Gathers what the checks look at. All I/O of the doctor is here and in what this calls; nothing is changed."""

import contextlib
import platform
import shutil
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from scout_deploy.containers.host import DockerHost
from scout_deploy.containers.labels import DEPLOYMENT, read_gpus
from scout_deploy.containers.observed import ObservedContainer
from scout_deploy.doctor.facts import DaemonMissed, DaemonSeen, Disk, Embedded, Facts, Port
from scout_deploy.doctor.network import reach_all
from scout_deploy.errors import DockerUnavailableError, ModelFileError, WeightsError
from scout_deploy.gpus.inventory import Inventory, read_local_inventory
from scout_deploy.gpus.tool import has_nvidia_hook
from scout_deploy.model_file import demonstration_model, locate_model_file
from scout_deploy.processes import is_port_free, port_holder
from scout_deploy.profile.profile import Profile
from scout_deploy.profile.proxy import Proxy
from scout_deploy.runtimes.docker_errors import DaemonRefusedError
from scout_deploy.weights.place import cache_folder

_TGI_REGISTRY = "ghcr.io"
_HUB = "https://huggingface.co"


class Daemon(Protocol):
    """What the doctor asks of a Docker daemon."""

    def facts(self) -> DockerHost:
        """Return what it says of itself."""

    def info(self) -> Mapping[str, object]:
        """Return its whole answer to `docker info`."""

    def containers(self, *labels: str) -> tuple[ObservedContainer, ...]:
        """Return the containers that have these labels."""

    def close(self) -> None:
        """Close the connections."""


def gather(
    environment: Mapping[str, str],
    connect: Callable[[Mapping[str, str]], Daemon],
    profile: Profile | None = None,
    root: Path = Path("/"),
) -> Facts:
    """Look at the machine.

    Args:
        connect: Opens the Docker daemon that the environment means; it may raise `DockerUnavailableError`.
        root: Where `/proc` and `/dev` are.
    """
    wants_tgi = profile is None or profile.engine.kind == "tgi"
    # A daemon that hangs must not hold up a profile that does without it.
    daemon, taken = _daemon(environment, connect, root) if wants_tgi else (DaemonMissed(reason="not asked"), {})
    shm = root / "dev/shm"
    return Facts(
        daemon=daemon,
        inventory=read_local_inventory(root) if wants_tgi else Inventory(),
        taken=taken,
        port=_port(Proxy() if profile is None else profile.proxy),
        embedded=_embedded(profile, root),
        disks=_disks(daemon, environment),
        shm_bytes=shutil.disk_usage(shm).total if shm.is_dir() else None,
        has_token=_has_token(environment),
        reached=reach_all(_targets(environment, profile), environment) if wants_tgi else (),
        python=f"{platform.python_implementation()} {platform.python_version()}",
    )


def _daemon(
    environment: Mapping[str, str], connect: Callable[[Mapping[str, str]], Daemon], root: Path
) -> tuple[DaemonSeen | DaemonMissed, dict[int, str]]:
    try:
        daemon = connect(environment)
        try:
            host = daemon.facts()
            before = time.time()
            info = daemon.info()
            ahead = clock_ahead_s(str(info.get("SystemTime", "")), (before + time.time()) / 2)
            taken = {
                gpu: container.labels[DEPLOYMENT]
                for container in daemon.containers(DEPLOYMENT)
                if container.is_running
                for gpu in read_gpus(container.labels)
            }
        finally:
            daemon.close()
    except DockerUnavailableError as error:
        named = "correct or unset DOCKER_HOST, or start the daemon that it names"
        return DaemonMissed(
            reason=error.message, next_step=named if environment.get("DOCKER_HOST") else error.next_step
        ), {}
    except DaemonRefusedError as error:
        return DaemonMissed(reason=f"the Docker daemon refused to describe itself: {error.reason}"), {}
    hook = has_nvidia_hook(environment, root) if host.is_local else None
    return DaemonSeen(host=host, clock_ahead_s=ahead, gpu_hook=hook), taken


def clock_ahead_s(system_time: str, now_s: float) -> float | None:
    """Return how much the daemon's clock is ahead; None where what it says is no time.

    Args:
        system_time: `SystemTime` of its `docker info`, by RFC 3339 with nanoseconds.
        now_s: This machine's clock at that moment, in seconds since 1970.
    """
    try:
        return datetime.fromisoformat(system_time).timestamp() - now_s
    except ValueError:
        return None


def _port(proxy: Proxy) -> Port:
    try:
        free = is_port_free(proxy.host, proxy.port)
    except OSError as exc:
        return Port(host=proxy.host, number=proxy.port, is_free=False, problem=exc.strerror or str(exc))
    return Port(host=proxy.host, number=proxy.port, is_free=free, holder=None if free else port_holder(proxy.port))


def _embedded(profile: Profile | None, root: Path) -> Embedded:
    problem = None
    try:
        _ = demonstration_model() if profile is None else locate_model_file(profile)
    except ModelFileError as error:
        problem = error.message
    return Embedded(is_installed=find_spec("xllamacpp") is not None, has_avx2=_has_avx2(root), model_problem=problem)


def _has_avx2(root: Path) -> bool | None:
    try:
        lines = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), None)
    return None if flags is None else "avx2" in flags


def _disks(daemon: DaemonSeen | DaemonMissed, environment: Mapping[str, str]) -> tuple[Disk, ...]:
    disks = []
    # A user without a home has no cache; whoever fetches weights then hears of it.
    with contextlib.suppress(WeightsError):
        disks.append(_disk("the Hugging Face cache", cache_folder(environment)))
    if isinstance(daemon, DaemonSeen) and daemon.host.is_local and daemon.host.root_dir:
        disks.insert(0, _disk("Docker's images and volumes", Path(daemon.host.root_dir)))
    return tuple(disks)


def _disk(purpose: str, folder: Path) -> Disk:
    for path in (folder, *folder.parents):
        try:
            return Disk(purpose=purpose, path=str(folder), free_bytes=shutil.disk_usage(path).free)
        except FileNotFoundError:
            continue
        except OSError:
            break
    return Disk(purpose=purpose, path=str(folder), free_bytes=None)


def _hub_folder(environment: Mapping[str, str]) -> Path:
    """Where the Hugging Face hub's library keeps things, by its own variables."""
    if chosen := environment.get("HF_HOME"):
        return Path(chosen).expanduser()
    cache = environment.get("XDG_CACHE_HOME") or str(Path(environment.get("HOME", "/")) / ".cache")
    return Path(cache) / "huggingface"


def _has_token(environment: Mapping[str, str]) -> bool:
    if environment.get("HF_TOKEN") or environment.get("HUGGING_FACE_HUB_TOKEN"):
        return True
    file = Path(environment.get("HF_TOKEN_PATH") or _hub_folder(environment) / "token")
    try:
        return file.stat().st_size > 0
    except OSError:
        return False


def _targets(environment: Mapping[str, str], profile: Profile | None) -> tuple[tuple[str, str], ...]:
    image = None if profile is None else profile.engine.image
    hub = (environment.get("HF_ENDPOINT") or _HUB).partition("//")[2].partition("/")[0]
    return ((registry_of(image) if image else _TGI_REGISTRY, "TGI's image"), (hub, "the model"))


def registry_of(image: str) -> str:
    """Return the registry that an image's name means, as Docker reads it."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else "registry-1.docker.io"
