"""Checks of the GPUs, their driver and how containers get at them. Pure."""

from collections.abc import Iterator, Mapping

from scout_deploy.containers.host import DockerHost
from scout_deploy.doctor.facts import DaemonMissed, DaemonSeen, Facts
from scout_deploy.doctor.outcome import EngineKind, Outcome, State
from scout_deploy.errors import GpuUnavailableError
from scout_deploy.gpus.access import give_gpus
from scout_deploy.gpus.allocation import allocate, obstacle_of
from scout_deploy.gpus.docker_devices import gpus_of_docker
from scout_deploy.gpus.gpu import describe_gpus
from scout_deploy.gpus.inventory import Inventory
from scout_deploy.profile.profile import Profile

# TGI's README: its images need a driver for CUDA 12.2 or newer. NVIDIA's release notes of CUDA: 12.2 came with 535.
_OLDEST_CUDA = (12, 2)
_OLDEST_DRIVER = (535,)

_TGI: tuple[EngineKind, ...] = ("tgi",)
_ACCESS = {"cdi": "CDI devices", "device-request": "Docker's device requests", "devices": "device files"}


def gpu_checks(facts: Facts, profile: Profile | None) -> Iterator[Outcome]:
    """Look at the GPUs; with a profile, whether it gets what it asks for."""
    if profile is not None and profile.hardware.cpu_only:
        yield Outcome(check="gpu", state="good", fact="the profile needs none", concerns=_TGI)
        return
    if isinstance(facts.daemon, DaemonSeen) and not facts.daemon.host.is_local:
        yield Outcome(
            check="gpu",
            state="doubtful",
            fact="the containers' GPUs are those of Docker's machine, which cannot be looked into from here; "
            + _told(facts.daemon.host),
            fix="run scout-deploy doctor there",
            concerns=_TGI,
        )
        return
    yield _present(facts.inventory, None if isinstance(facts.daemon, DaemonMissed) else facts.daemon.host)
    if not facts.inventory.gpus:
        return
    if facts.inventory.gpus[0].vendor == "nvidia":
        yield _driver(facts.inventory)
    if isinstance(facts.daemon, DaemonSeen):
        yield _access(facts.daemon, facts.inventory)
    yield _in_use(facts.inventory, facts.taken) if profile is None else _allotted(facts, profile)


def _told(host: DockerHost) -> str:
    return f"it tells of {gpus_of_docker(host) or 'none'}"


def _present(inventory: Inventory, docker: DockerHost | None) -> Outcome:
    if inventory.gpus:
        fact = describe_gpus(inventory.gpus) + (f"; {inventory.problem}" if inventory.problem else "")
        state: State = "doubtful" if inventory.problem else "good"
        return Outcome(check="gpu", state=state, fact=fact, fix=inventory.remedy, concerns=_TGI)
    if inventory.problem:
        named = f"{', '.join(inventory.loaded)}: " if inventory.loaded else ""
        return Outcome(
            check="gpu",
            state="bad",
            fact=f"{named}{inventory.problem}",
            fix=inventory.remedy or "make nvidia-smi (rocm-smi for AMD) work for this user",
            concerns=_TGI,
        )
    if docker is not None and docker.cdi_devices and (announced := gpus_of_docker(docker)) is not None:
        return Outcome(
            check="gpu",
            state="bad",
            fact=f"no driver shows any here, although Docker tells of {announced}",
            fix="run scout-deploy on the machine itself, or in a container that was given its GPUs (--gpus all)",
            concerns=_TGI,
        )
    return Outcome(
        check="gpu",
        state="bad",
        fact="none with a loaded driver",
        fix="install the driver, if there is a GPU; the embedded engine computes on the CPU",
        concerns=_TGI,
    )


def _driver(inventory: Inventory) -> Outcome:
    driver, cuda = inventory.driver_version, inventory.cuda_version
    fact = f"NVIDIA {driver or 'of unknown version'}" + (f", CUDA up to {cuda}" if cuda else "")
    fact += f" (told by {inventory.source})" if inventory.source else ""
    if cuda is None and driver is None:
        return Outcome(check="gpu driver", state="doubtful", fact=fact, concerns=_TGI)
    is_new_enough = _numbers(cuda) >= _OLDEST_CUDA if cuda else _numbers(driver or "") >= _OLDEST_DRIVER
    if is_new_enough:
        return Outcome(check="gpu driver", state="good", fact=fact, concerns=_TGI)
    return Outcome(
        check="gpu driver",
        state="bad",
        fact=f"{fact}; TGI's image needs CUDA 12.2",
        fix="install driver 535 or newer",
        concerns=_TGI,
    )


def _access(daemon: DaemonSeen, inventory: Inventory) -> Outcome:
    try:
        access = give_gpus(daemon.host, inventory.gpus, hook=daemon.gpu_hook)
    except GpuUnavailableError as error:
        return Outcome(check="gpu access", state="bad", fact=error.message, fix=error.next_step, concerns=_TGI)
    fact = f"containers get them through {_ACCESS[access.devices.access]}"
    if access.remarks:
        return Outcome(check="gpu access", state="doubtful", fact=f"{fact}; {'; '.join(access.remarks)}", concerns=_TGI)
    return Outcome(check="gpu access", state="good", fact=fact, concerns=_TGI)


def _in_use(inventory: Inventory, taken: Mapping[int, str]) -> Outcome:
    obstacles = [reason for gpu in inventory.gpus if (reason := obstacle_of(gpu, taken)) is not None]
    if obstacles:
        return Outcome(
            check="gpu use",
            state="doubtful",
            fact="; ".join(obstacles),
            fix="nvidia-smi (rocm-smi for AMD) lists what uses them",
            concerns=_TGI,
        )
    return Outcome(check="gpu use", state="good", fact="all are free", concerns=_TGI)


def _allotted(facts: Facts, profile: Profile) -> Outcome:
    try:
        sets = allocate(profile.hardware, profile.replicas, facts.inventory.gpus, facts.taken)
    except GpuUnavailableError as error:
        return Outcome(check="gpu use", state="bad", fact=error.message, fix=error.next_step, concerns=_TGI)
    indexes = " and ".join(", ".join(map(str, one)) for one in sets)
    return Outcome(check="gpu use", state="good", fact=f"the profile gets GPU {indexes}", concerns=_TGI)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
