"""What the doctor says of machines: its checks over gathered facts."""

from collections.abc import Mapping
from typing import Any

import pytest

from scout_deploy.containers.host import DockerHost
from scout_deploy.doctor.checks import examine
from scout_deploy.doctor.facts import DaemonMissed, DaemonSeen, Disk, Embedded, Facts, Port, Reach
from scout_deploy.doctor.outcome import Diagnosis, Finding
from scout_deploy.gpus.gpu import Gpu
from scout_deploy.gpus.inventory import Inventory
from scout_deploy.profile.profile import Profile

GIB = 2**30
NO_DOCKER = DaemonMissed(reason="no Docker daemon is there", next_step="install and start Docker")
TGI = Profile.model_validate(
    {
        "model": {"id": "an/example"},
        "engine": {"kind": "tgi", "version": "3.3.7"},
        "hardware": {"gpu_count": 2, "gpu_kind": "A100"},
    }
)
EMBEDDED = Profile.model_validate({"engine": {"kind": "embedded"}})


def a100s(count: int) -> Inventory:
    gpus = tuple(
        Gpu(
            index=index,
            uuid=f"GPU-{index}",
            name="NVIDIA A100-SXM4-80GB",
            memory_total_bytes=80 * GIB,
            memory_used_bytes=0,
            compute_capability="8.0",
        )
        for index in range(count)
    )
    return Inventory(gpus=gpus, driver_version="550.54.14", cuda_version="12.4")


def daemon(*, ahead_s: float | None = 0.0, hook: bool | None = False, **host: Any) -> DaemonSeen:
    known: Mapping[str, Any] = {
        "address": "unix:///var/run/docker.sock",
        "is_local": True,
        "server_version": "28.1.1",
        "api_version": "1.49",
        "runtimes": ("nvidia", "runc"),
        "components": ("Engine",),
    }
    return DaemonSeen(host=DockerHost.model_validate({**known, **host}), clock_ahead_s=ahead_s, gpu_hook=hook)


def facts(**changed: Any) -> Facts:
    """A box with Docker and two A100 that lacks nothing, but for what is changed."""
    known: Mapping[str, Any] = {
        "daemon": daemon(),
        "inventory": a100s(2),
        "port": Port(host="127.0.0.1", number=2025, is_free=True),
        "embedded": Embedded(is_installed=True, has_avx2=True),
        "disks": (Disk(purpose="Docker's images and volumes", path="/var/lib/docker", free_bytes=500 * 10**9),),
        "shm_bytes": 16 * GIB,
        "has_token": True,
        "reached": (Reach(host="ghcr.io", purpose="TGI's image"),),
        "python": "CPython 3.11.7",
    }
    return Facts(**{**known, **changed})


def only(diagnosis: Diagnosis, check: str) -> Finding:
    (finding,) = [finding for finding in diagnosis.findings if finding.check == check]
    return finding


def test_a_gpu_box_that_lacks_nothing_is_all_ok() -> None:
    diagnosis = examine(facts())

    assert {finding.level for finding in diagnosis.findings} == {"ok"}
    assert {finding.fix for finding in diagnosis.findings} == {None}
    assert diagnosis.works == {"embedded": True, "tgi": True}


def test_a_box_without_docker_and_gpu_is_told_calmly_that_the_embedded_engine_works() -> None:
    diagnosis = examine(facts(daemon=NO_DOCKER, inventory=Inventory(), has_token=False))

    assert diagnosis.is_healthy
    assert {finding.level for finding in diagnosis.findings} == {"ok", "not needed"}
    assert diagnosis.works == {"embedded": True, "tgi": False}
    assert diagnosis.missing["tgi"] == ("docker", "gpu")
    assert only(diagnosis, "docker").fix == "install and start Docker"


def test_a_gpu_box_without_docker_is_warned() -> None:
    diagnosis = examine(facts(daemon=NO_DOCKER))

    assert only(diagnosis, "docker").level == "warning"
    assert diagnosis.is_healthy


def test_a_profile_that_needs_docker_has_a_problem_without_it() -> None:
    diagnosis = examine(facts(daemon=NO_DOCKER), TGI)

    assert only(diagnosis, "docker").level == "problem"
    assert not diagnosis.is_healthy


def test_a_profile_of_the_embedded_engine_is_asked_nothing_of_docker_and_gpus() -> None:
    diagnosis = examine(facts(daemon=NO_DOCKER, inventory=Inventory()), EMBEDDED)

    assert [finding.check for finding in diagnosis.findings] == ["port", "python", "embedded engine"]
    assert diagnosis.is_healthy


def test_a_machine_that_can_run_nothing_has_a_problem() -> None:
    nothing = facts(daemon=NO_DOCKER, inventory=Inventory(), embedded=Embedded(is_installed=False, has_avx2=True))

    diagnosis = examine(nothing)

    assert not diagnosis.is_healthy
    assert only(diagnosis, "embedded engine").level == "problem"
    assert only(diagnosis, "embedded engine").fix == "pip install 'scout-deploy[embedded]'"


@pytest.mark.parametrize(
    ("changed", "check", "said", "fix"),
    [
        ({"daemon": daemon(api_version="1.40", server_version="19.03.15")}, "docker version", "19.03.15", "20.10"),
        ({"daemon": daemon(architecture="aarch64")}, "docker version", "x86_64", "x86_64"),
        ({"daemon": daemon(os="windows")}, "docker", "containers of windows", "Linux containers"),
        ({"daemon": daemon(runtimes=("runc",))}, "gpu access", "no NVIDIA runtime", "nvidia-ctk runtime configure"),
        ({"daemon": daemon(components=("Podman Engine",))}, "gpu access", "is Podman", "install Docker"),
        ({"daemon": daemon(ahead_s=-7200.0)}, "clock", "7200 s behind", "timedatectl"),
        ({"inventory": Inventory()}, "gpu", "none with a loaded driver", "install the driver"),
        (
            {"inventory": Inventory(), "daemon": daemon(cdi_devices=("nvidia.com/gpu=0",))},
            "gpu",
            "although Docker tells of 1 NVIDIA GPU (CDI devices 0)",
            "on the machine itself",
        ),
        ({"inventory": Inventory(problem="nvidia-smi said: x")}, "gpu", "nvidia-smi said: x", "make nvidia-smi"),
        ({"inventory": Inventory(problem="mismatch", remedy="restart")}, "gpu", "mismatch", "restart"),
        ({"inventory": a100s(1)}, "gpu use", "wants 2 x A100; this machine has 1 x", "gpu_count"),
        ({"taken": {1: "chat"}}, "gpu use", "GPU 1 belongs to deployment 'chat'", "nvidia-smi"),
        (
            {"port": Port(host="10.9.8.7", number=2025, is_free=False, problem="Cannot assign requested address")},
            "port",
            "Cannot assign",
            "proxy/host",
        ),
    ],
)
def test_what_stops_the_profile_is_a_problem_with_a_fix(
    changed: dict[str, Any], check: str, said: str, fix: str
) -> None:
    finding = only(examine(facts(**changed), TGI), check)

    assert finding.level == "problem"
    assert said in finding.fact
    assert fix in (finding.fix or "")


@pytest.mark.parametrize(
    ("changed", "check", "said"),
    [
        ({"daemon": daemon(ahead_s=90.0)}, "clock", "90 s ahead"),
        ({"daemon": daemon(security=("rootless",))}, "gpu access", "no-cgroups"),
        ({"daemon": daemon(is_local=False)}, "gpu", "it tells of NVIDIA GPUs of unknown number"),
        ({"daemon": daemon(is_local=False, runtimes=("runc",))}, "gpu", "it tells of none"),
        ({"disks": (Disk(purpose="Docker's images", path="/d", free_bytes=10**9),)}, "disk", "1 GB free"),
        ({"shm_bytes": 64 * 2**20}, "shared memory", "0.1 GB"),
        (
            {"port": Port(host="::1", number=9, is_free=False, holder="nginx (pid 7)")},
            "port",
            "in use by nginx (pid 7)",
        ),
        ({"has_token": False}, "hub token", "gated"),
        ({"reached": (Reach(host="ghcr.io", purpose="TGI's image", problem="late"),)}, "network", "late"),
    ],
)
def test_what_may_stop_the_profile_is_a_warning(changed: dict[str, Any], check: str, said: str) -> None:
    diagnosis = examine(facts(**changed), TGI)

    assert only(diagnosis, check).level == "warning"
    assert said in only(diagnosis, check).fact
    assert diagnosis.is_healthy


@pytest.mark.parametrize(
    ("driver", "cuda", "level"),
    [
        ("550.54.14", "12.4", "ok"),
        ("535.216.01", "12.2", "ok"),
        ("525.147.05", "12.0", "problem"),
        ("470.182.03", None, "problem"),
        ("610.43.02", "13.3", "ok"),
        ("535.54.03", None, "ok"),
    ],
)
def test_the_driver_has_to_run_the_cuda_of_the_image(driver: str, cuda: str | None, level: str) -> None:
    inventory = Inventory(gpus=a100s(2).gpus, driver_version=driver, cuda_version=cuda)

    assert only(examine(facts(inventory=inventory), TGI), "gpu driver").level == level


def test_who_told_of_the_gpus_is_told() -> None:
    reason = "nvidia-smi, as libnvidia-ml.so.1 is not to be found"
    inventory = Inventory(gpus=a100s(2).gpus, driver_version="550.54.14", cuda_version="12.4", source=reason)

    fact = only(examine(facts(inventory=inventory), TGI), "gpu driver").fact

    assert fact == f"NVIDIA 550.54.14, CUDA up to 12.4 (told by {reason})"


def test_a_profile_is_told_which_gpus_it_gets() -> None:
    assert (
        only(examine(facts(inventory=a100s(4), taken={0: "chat"}), TGI), "gpu use").fact == "the profile gets GPU 1, 2"
    )


def test_podman_is_named_also_where_there_is_no_gpu() -> None:
    podman = facts(daemon=daemon(components=("Podman Engine",)), inventory=Inventory())

    assert "it is Podman" in only(examine(podman), "docker").fact


def test_a_cpu_without_avx2_cannot_run_the_embedded_engine() -> None:
    old = facts(embedded=Embedded(is_installed=True, has_avx2=False))

    assert only(examine(old, EMBEDDED), "embedded engine").level == "problem"
    assert examine(old).works == {"embedded": False, "tgi": True}
