"""Which machine's GPUs a plan counts, where none are named."""

from collections.abc import Mapping
from typing import Any

import pytest

from scout_deploy.containers.host import DockerHost
from scout_deploy.errors import DockerUnavailableError, GpuUnavailableError
from scout_deploy.gpus.docker_devices import DockerGpus
from scout_deploy.gpus.gpu import Gpu
from scout_deploy.gpus.inventory import Inventory
from scout_deploy.plan_gpus import cpu_here, gpus_here
from scout_deploy.plan_machine import PlanMachine, look_at_machine, look_at_memory
from scout_deploy.profile.engine import Hardware

GIB = 2**30
HERE = Inventory(gpus=(Gpu(index=0, uuid="GPU-0", name="NVIDIA L4", memory_total_bytes=22 * GIB),))
H100 = Hardware(gpu_kind="H100", gpu_memory_gb=80, gpu_count=4)


class OneDaemon:
    """A Docker daemon that tells of two GPUs."""

    def __init__(self, **host: Any) -> None:
        self._host = {"cdi_devices": ("nvidia.com/gpu=0", "nvidia.com/gpu=1"), **host}
        self.is_closed = False

    def facts(self) -> DockerHost:
        known = {"address": "ssh://box", "is_local": False, "server_version": "28.3.0", "api_version": "1.51"}
        return DockerHost.model_validate({**known, **self._host})

    def close(self) -> None:
        self.is_closed = True


def look(daemon: OneDaemon | None, here: Inventory, *, is_local: bool) -> PlanMachine:
    def connect(_: Mapping[str, str]) -> OneDaemon:
        if daemon is None:
            raise DockerUnavailableError("ssh: connect to host box port 22: Connection refused")
        return daemon

    return look_at_machine({}, is_local=is_local, address="ssh://box", connect=connect, read_gpus=lambda: here)


def test_away_from_the_box_its_gpus_count_and_not_those_of_this_machine() -> None:
    daemon = OneDaemon()

    machine = look(daemon, HERE, is_local=False)
    found = gpus_here(machine, H100)

    assert machine.inventory.gpus == ()
    assert daemon.is_closed
    assert [gpu.name for gpu in found.gpus] == ["H100-80GB"] * 2
    assert found.origin == (
        "of the kind that the profile is for; Docker tells of 2 NVIDIA GPUs (CDI devices 0, 1), and not of which kind"
    )


def test_here_the_driver_is_believed_and_docker_is_not_asked() -> None:
    daemon = OneDaemon()

    machine = look(daemon, HERE, is_local=True)

    assert (machine.inventory, machine.announced, daemon.is_closed) == (HERE, None, False)


def test_in_a_container_with_dockers_socket_docker_tells_of_the_gpus() -> None:
    machine = look(OneDaemon(), Inventory(), is_local=True)

    assert machine.announced == DockerGpus(vendor="nvidia", count=2, names=("0", "1"), source="CDI devices")


def test_a_daemon_that_does_not_answer_is_told() -> None:
    found = gpus_here(look(None, HERE, is_local=False), H100)

    assert len(found.gpus) == 4
    assert "Docker's machine (ssh://box) could not be asked: ssh: connect to host box" in found.origin


@pytest.mark.parametrize(
    ("daemon", "words"),
    [
        (
            OneDaemon(),
            "Docker tells of 2 NVIDIA GPUs (CDI devices 0, 1) and not of which kind, and the",
        ),
        (OneDaemon(cdi_devices=()), "Docker's machine (ssh://box) tells of none, and the profile names none"),
        (None, "Docker's machine (ssh://box) could not be asked: ssh: connect"),
    ],
)
def test_a_profile_for_any_gpus_needs_them_named_then(daemon: OneDaemon | None, words: str) -> None:
    with pytest.raises(GpuUnavailableError) as caught:
        gpus_here(look(daemon, HERE, is_local=False), Hardware(gpu_count=1))

    assert words in caught.value.message
    assert "--gpus 4xH100-80GB" in (caught.value.next_step or "")


def look_at(daemon: OneDaemon | None, *, is_local: bool) -> PlanMachine:
    def connect(_: Mapping[str, str]) -> OneDaemon:
        if daemon is None:
            raise DockerUnavailableError("nobody there")
        return daemon

    return look_at_memory(
        {}, is_local=is_local, address="ssh://box", connect=connect, read_memory=lambda: (32 * GIB, 8 * GIB)
    )


def test_for_a_cpu_the_machines_memory_counts_shared_by_the_replicas() -> None:
    found = cpu_here(look_at(None, is_local=True), 2)

    assert [(one.total_bytes, one.held_bytes) for one in found.gpus] == [(16 * GIB, 4 * GIB)] * 2
    assert found.origin == "this machine, shared by 2 replicas"


def test_of_another_machine_docker_tells_the_memory_and_not_what_is_in_use() -> None:
    found = cpu_here(look_at(OneDaemon(memory_bytes=64 * GIB), is_local=False), 1)

    assert [(one.total_bytes, one.held_bytes) for one in found.gpus] == [(64 * GIB, 0)]
    assert found.origin == "Docker's machine (ssh://box), which does not tell what of it is in use"


@pytest.mark.parametrize(("daemon", "words"), [(None, "nobody there"), (OneDaemon(), "its Docker daemon is silent")])
def test_a_machine_whose_memory_nobody_tells_is_no_machine_to_plan_for(daemon: OneDaemon | None, words: str) -> None:
    with pytest.raises(DockerUnavailableError, match="does not tell how much memory it has") as caught:
        cpu_here(look_at(daemon, is_local=False), 1)

    assert words in caught.value.message
    assert "DOCKER_HOST" in (caught.value.next_step or "")


def a100(index: int, *, mig: bool = False) -> Gpu:
    return Gpu(index=index, uuid=f"GPU-{index}", name="NVIDIA A100", memory_total_bytes=80 * GIB, mig=mig)


def test_a_gpu_that_is_split_is_not_planned_with() -> None:
    found = gpus_here(PlanMachine(inventory=Inventory(gpus=(a100(0, mig=True), a100(1)))), Hardware())

    assert len(found.gpus) == 1
    assert found.origin.endswith("2 x NVIDIA A100 (80 GiB) are here, GPU 0 split into MIG instances")


def test_where_all_are_split_the_way_back_is_told() -> None:
    with pytest.raises(GpuUnavailableError, match="nvidia-smi -mig 0 -i 0 joins them"):
        gpus_here(PlanMachine(inventory=Inventory(gpus=(a100(0, mig=True),))), Hardware())
