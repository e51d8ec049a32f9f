import pytest

from fakes.tgi_requests import LLAMA, tgi_profile
from scout_deploy.containers.deployment import ContainerDeployment, Weights
from scout_deploy.containers.plan import Placement, Target, plan_containers
from scout_deploy.containers.spec import GpuDevices, Mount
from scout_deploy.engines.catalogue import container_engine_for
from scout_deploy.engines.container_engine import Accelerator
from scout_proxy.route_table import Template


def two_replicas(accelerator: Accelerator, vendor: str) -> ContainerDeployment:
    indexes = ((0, 1), (2, 3))
    return plan_containers(
        tgi_profile(gpus=2).model_copy(update={"replicas": 2}),
        Target(name="scout", profile_name="mine", version="9.9.9", proxy_image="proxy:1"),
        container_engine_for("tgi"),
        facts=LLAMA,
        weights=Weights(
            mount=Mount(kind="volume", source="scout-weights", target="/weights", read_only=True), path="/weights/model"
        ),
        template=Template(),
        placement=Placement(
            accelerator=accelerator,
            gpus=tuple(GpuDevices.model_validate({"vendor": vendor, "ids": tuple(map(str, one))}) for one in indexes),
            indexes=indexes,
            shards=2,
        ),
    )


def test_replicas_on_amd_are_told_their_own_gpus_for_their_containers_see_all() -> None:
    engines = two_replicas("amd", "amd").engines

    assert [engine.environment["ROCR_VISIBLE_DEVICES"] for engine in engines] == ["0,1", "2,3"]
    assert {engine.devices for engine in engines} == {("/dev/kfd", "/dev/dri")}


def test_replicas_on_nvidia_are_handed_their_own_gpus_alone() -> None:
    engines = two_replicas("nvidia", "nvidia").engines

    assert [engine.gpus and engine.gpus.ids for engine in engines] == [("0", "1"), ("2", "3")]
    assert all("VISIBLE_DEVICES" not in name for engine in engines for name in engine.environment)


@pytest.mark.parametrize(("accelerator", "vendor"), [("nvidia", "nvidia"), ("amd", "amd")])
def test_every_replica_is_split_over_its_gpus(accelerator: Accelerator, vendor: str) -> None:
    assert [engine.environment["NUM_SHARD"] for engine in two_replicas(accelerator, vendor).engines] == ["2", "2"]
