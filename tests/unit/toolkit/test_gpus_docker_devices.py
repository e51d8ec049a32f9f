"""What a Docker daemon tells of GPUs, from its answer to `docker info` on."""

from collections.abc import Mapping
from typing import Any

import pytest

from scout_deploy.gpus.docker_devices import gpus_of_docker
from scout_deploy.runtimes.docker_address import DockerAddress
from scout_deploy.runtimes.docker_answers import host_of

FIRST, SECOND = "GPU-5d49bdf4-b8d0-21ce-9260-a89c66748d92", "GPU-22b2c6ac-2d49-4863-197c-9c469071178a"


def cdi(*names: str) -> Mapping[str, Any]:
    return {"DiscoveredDevices": [{"Source": "cdi", "ID": name} for name in names]}


def discrete(kind: str, value: int) -> Mapping[str, Any]:
    return {"DiscreteResourceSpec": {"Kind": kind, "Value": value}}


def named(kind: str, value: str) -> Mapping[str, Any]:
    return {"NamedResourceSpec": {"Kind": kind, "Value": value}}


@pytest.mark.parametrize(
    ("info", "told"),
    [
        (cdi("nvidia.com/gpu=1", "nvidia.com/gpu=0", "nvidia.com/gpu=all"), "2 NVIDIA GPUs (CDI devices 0, 1)"),
        # nvidia-ctk names each by its index and by its UUID too.
        (
            cdi("nvidia.com/gpu=0", f"nvidia.com/gpu={FIRST}", "nvidia.com/gpu=all"),
            "1 NVIDIA GPU (CDI devices 0)",
        ),
        (cdi(f"nvidia.com/gpu={FIRST}"), f"1 NVIDIA GPU (CDI devices {FIRST})"),
        # On WSL.
        (cdi("nvidia.com/gpu=all"), "NVIDIA GPUs of unknown number (one CDI device for all)"),
        (
            cdi("nvidia.com/gpu=0:0", "nvidia.com/gpu=0:1", "nvidia.com/gpu=all"),
            "NVIDIA GPUs of unknown number (CDI devices, MIG instances alone: 0:0, 0:1)",
        ),
        (cdi("amd.com/gpu=0", "amd.com/gpu=1"), "2 AMD GPUs (CDI devices 0, 1)"),
        ({"GenericResources": [discrete("SSD", 3), discrete("gpu", 4)]}, "4 GPUs (generic resources)"),
        (
            {"GenericResources": [named("NVIDIA-GPU", FIRST), named("NVIDIA-GPU", SECOND)]},
            f"2 NVIDIA GPUs (generic resources {FIRST}, {SECOND})",
        ),
        ({"Runtimes": {"runc": {}, "nvidia": {}}}, "NVIDIA GPUs of unknown number (it has NVIDIA's runtime)"),
        ({"Runtimes": {"runc": {}}, "DiscoveredDevices": None, "GenericResources": None}, "None"),
        (cdi("vendor.com/net=eth0"), "None"),
    ],
)
def test_how_many_gpus_docker_tells_of_and_which(info: Mapping[str, Any], told: str) -> None:
    host = host_of(DockerAddress(url="ssh://box", source="DOCKER_HOST"), info, {})

    assert str(gpus_of_docker(host)) == told
