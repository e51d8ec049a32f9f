"""Profiles on boxes: which replica gets which GPUs, and how."""

from collections.abc import Mapping

import pytest

from scout_deploy.containers.host import DockerHost
from scout_deploy.containers.plan import Placement
from scout_deploy.containers.spec import GpuDevices
from scout_deploy.errors import GpuUnavailableError
from scout_deploy.gpu_placement import Box, GpuPlacement, has_room_beside, imagine, place
from scout_deploy.gpus.gpu import Gpu, Vendor
from scout_deploy.gpus.inventory import Inventory
from scout_deploy.model_facts import ModelFacts
from scout_deploy.profile.profile import Profile

HOST = DockerHost(
    address="tcp://gpu-box:2376",
    is_local=False,
    server_version="28.4.0",
    api_version="1.51",
    runtimes=("nvidia", "runc"),
)
CDI_HOST = HOST.model_copy(update={"cdi_devices": ("nvidia.com/gpu=0", "nvidia.com/gpu=1", "nvidia.com/gpu=all")})
NO_FACTS = ModelFacts()


def profile(replicas: int = 1, **hardware: object) -> Profile:
    return Profile.model_validate(
        {
            "model": {"id": "acme/chat"},
            "engine": {"kind": "tgi", "version": "3.3.7"},
            "hardware": hardware,
            "replicas": replicas,
        }
    )


def gpus(count: int, vendor: Vendor = "nvidia") -> tuple[Gpu, ...]:
    return tuple(
        Gpu(index=index, uuid=f"GPU-{index}", name="NVIDIA A100", vendor=vendor, memory_total_bytes=80 * 2**30)
        for index in range(count)
    )


def box(count: int, host: DockerHost = HOST, taken: Mapping[int, str] | None = None) -> Box:
    return Box(host=host, inventory=Inventory(gpus=gpus(count)), taken=taken or {})


def test_a_cpu_needs_no_gpus_and_there_is_always_room() -> None:
    assert place(profile(cpu_only=True), NO_FACTS, box(0)) == GpuPlacement(placement=Placement(accelerator="intel-cpu"))
    assert has_room_beside(profile(cpu_only=True), NO_FACTS, box(0))


def test_two_replicas_of_two_gpus_each() -> None:
    all_gpus = gpus(4)

    assert place(profile(2, gpu_count=2), NO_FACTS, box(4)) == GpuPlacement(
        placement=Placement(
            accelerator="nvidia",
            gpus=(
                GpuDevices(vendor="nvidia", ids=("GPU-0", "GPU-1")),
                GpuDevices(vendor="nvidia", ids=("GPU-2", "GPU-3")),
            ),
            indexes=((0, 1), (2, 3)),
            shards=2,
            may_raise_limits=True,
        ),
        gpus=(all_gpus[:2], all_gpus[2:]),
    )


def test_a_daemon_with_cdi_devices_is_given_their_names() -> None:
    placed = place(profile(gpu_ids=(1,)), NO_FACTS, box(2, CDI_HOST)).placement

    assert placed.gpus == (GpuDevices(vendor="nvidia", ids=("1",), access="cdi"),)
    assert placed.indexes == ((1,),)


def test_amd_gpus_are_device_files() -> None:
    amd = Box(host=HOST, inventory=Inventory(gpus=gpus(2, "amd")), taken={})

    placed = place(profile(gpu_count=2), NO_FACTS, amd).placement

    assert placed.accelerator == "amd"
    assert placed.gpus == (GpuDevices(vendor="amd", ids=("0", "1"), access="devices"),)


def test_a_rootless_daemon_may_not_raise_limits_and_each_remark_is_made_once() -> None:
    rootless = HOST.model_copy(update={"security": ("seccomp", "rootless")})

    placed = place(profile(2, gpu_count=1), NO_FACTS, box(2, rootless))

    assert not placed.placement.may_raise_limits
    assert len(placed.remarks) == 1
    assert placed.remarks[0].startswith("rootless Docker")


def test_the_number_of_shards_divides_the_models_heads() -> None:
    facts = ModelFacts(attention_heads=40, kv_heads=2)

    assert place(profile(device_map="auto"), facts, box(8)).placement.shards == 2
    assert place(profile(device_map="auto"), NO_FACTS, box(8)).placement.shards == 8


def test_gpus_of_another_deployment_are_left_alone_unless_it_leaves() -> None:
    wanted, taken = profile(gpu_count=2), {0: "old", 1: "old"}

    with pytest.raises(GpuUnavailableError, match="GPU 0 belongs to deployment 'old'"):
        place(wanted, NO_FACTS, box(2, taken=taken))

    assert place(wanted, NO_FACTS, box(2, taken=taken), leaving=(0, 1)).placement.indexes == ((0, 1),)
    assert not has_room_beside(wanted, NO_FACTS, box(2, taken=taken))
    assert has_room_beside(wanted, NO_FACTS, box(4, taken=taken))


def test_a_driver_that_does_not_work_says_why() -> None:
    broken = Inventory(problem="nvidia-smi said: version mismatch", remedy="restart the machine")

    with pytest.raises(GpuUnavailableError, match="version mismatch") as caught:
        place(profile(gpu_count=1), NO_FACTS, Box(host=HOST, inventory=broken, taken={}))

    assert caught.value.next_step == "restart the machine"


def test_a_problem_with_one_gpu_does_not_keep_the_others_from_use() -> None:
    partly = Inventory(gpus=gpus(1), problem="GPU 1 is lost")

    assert place(profile(gpu_count=1), NO_FACTS, Box(host=HOST, inventory=partly, taken={})).placement.indexes == (
        (0,),
    )


@pytest.mark.parametrize(
    ("replicas", "hardware", "indexes"),
    [
        (1, {"gpu_count": 1}, ((0,),)),
        (2, {"gpu_count": 2}, ((0, 1), (2, 3))),
        (2, {"gpu_ids": (4, 5, 6, 7)}, ((4, 5), (6, 7))),
        (2, {"gpu_ids": (3, 1), "gpu_count": 1}, ((3,), (1,))),
        (3, {"device_map": "auto"}, ((0,), (1,), (2,))),
    ],
)
def test_an_imagined_box_has_just_the_gpus_that_the_profile_is_for(
    replicas: int, hardware: dict[str, object], indexes: tuple[tuple[int, ...], ...]
) -> None:
    placement = imagine(profile(replicas, **hardware)).placement

    assert placement.indexes == indexes
    assert [one.ids for one in placement.gpus] == [tuple(map(str, each)) for each in indexes]
    assert placement.shards == len(indexes[0])


def test_an_imagined_cpu_has_none() -> None:
    assert imagine(profile(cpu_only=True)).placement == Placement(accelerator="intel-cpu")


def test_gpus_that_docker_alone_tells_of_are_not_said_to_be_missing() -> None:
    """As in a container that has the daemon's socket and nothing of the driver."""
    with pytest.raises(
        GpuUnavailableError, match=r"Docker tells of 2 NVIDIA GPUs \(CDI devices 0, 1\), and"
    ) as refused:
        place(profile(gpu_count=1), NO_FACTS, box(0, CDI_HOST))

    assert "on the Docker host itself" in str(refused.value.next_step)
    # A runtime alone may be there without any GPU.
    with pytest.raises(GpuUnavailableError, match="no GPU with a loaded driver"):
        place(profile(gpu_count=1), NO_FACTS, box(0))
