"""How containers get at the GPUs of a Docker host, and whether they did."""

import re
from pathlib import Path

import pytest

from scout_deploy.containers.host import DockerHost
from scout_deploy.containers.spec import GpuDevices
from scout_deploy.errors import GpuUnavailableError
from scout_deploy.gpus.access import give_gpus, is_podman, verify_inside
from scout_deploy.gpus.gpu import Gpu

DATA = Path(__file__).parents[2] / "data"
GPUS = (
    Gpu(index=0, uuid="GPU-f15ae561-21b1-6003-c768-861fc285203b", name="NVIDIA A10"),
    Gpu(index=1, uuid="GPU-466be1f8-6148-1a27-a450-592604f3df54", name="NVIDIA A10"),
)


def posted(name: str) -> str:
    return (DATA / name).read_text(encoding="utf-8").partition("\n")[2]


def host(
    api: str = "1.41",
    runtimes: tuple[str, ...] = ("runc",),
    cdi: tuple[str, ...] = (),
    security: tuple[str, ...] = (),
    components: tuple[str, ...] = ("Engine", "containerd", "runc", "docker-init"),
) -> DockerHost:
    return DockerHost(
        address="unix:///var/run/docker.sock",
        is_local=True,
        server_version="20.10.24",
        api_version=api,
        runtimes=runtimes,
        cdi_devices=cdi,
        security=security,
        components=components,
    )


def server_components(text: str) -> tuple[str, ...]:
    """The names below `Server:` in what `docker version` printed."""
    return tuple(re.findall(r"^ (\S[^:]*):$", text.partition("Server:")[2], re.MULTILINE))


def test_a_registered_runtime_is_asked_with_uuids() -> None:
    access = give_gpus(host(runtimes=("nvidia", "runc")), GPUS)

    assert access.devices == GpuDevices(vendor="nvidia", ids=(GPUS[0].uuid, GPUS[1].uuid), access="device-request")
    assert access.remarks == ()


def test_discovered_cdi_devices_come_first() -> None:
    cdi = ("nvidia.com/gpu=0", "nvidia.com/gpu=1", "nvidia.com/gpu=all")

    access = give_gpus(host("1.51", ("nvidia", "runc"), cdi), GPUS)

    assert access.devices == GpuDevices(vendor="nvidia", ids=("0", "1"), access="cdi")


def test_cdi_devices_named_by_uuid_are_preferred() -> None:
    cdi = tuple(f"nvidia.com/gpu={name}" for name in ("0", "1", "all", GPUS[0].uuid, GPUS[1].uuid))

    assert give_gpus(host("1.51", cdi=cdi), GPUS[1:]).devices.ids == (GPUS[1].uuid,)


def test_a_machine_with_one_cdi_device_for_all_gets_it() -> None:
    assert give_gpus(host("1.51", cdi=("nvidia.com/gpu=all",)), GPUS).devices.ids == ("all",)


def test_another_vendors_cdi_devices_do_not_count() -> None:
    access = give_gpus(host("1.51", ("nvidia", "runc"), ("intel.com/gpu=0",)), GPUS)

    assert access.devices.access == "device-request"


def test_an_outdated_cdi_description_is_refused_with_the_command_that_renews_it() -> None:
    with pytest.raises(GpuUnavailableError, match="do not know GPU 1") as caught:
        give_gpus(host("1.51", cdi=("nvidia.com/gpu=0",)), GPUS)

    assert "nvidia-ctk cdi generate" in str(caught.value.next_step)


def test_without_runtime_cdi_and_hook_the_toolkit_has_to_be_installed() -> None:
    assert "Runtimes: io.containerd.runc.v2 runc" in posted("docker_info/runtimes-not-registered.txt")

    with pytest.raises(GpuUnavailableError, match="has no NVIDIA runtime") as caught:
        give_gpus(host(runtimes=("io.containerd.runc.v2", "runc")), GPUS, hook=False)

    assert "nvidia-ctk runtime configure --runtime=docker" in str(caught.value.next_step)


def test_docker_as_a_snap_is_refused_whatever_hook_there_is() -> None:
    snap = host().model_copy(update={"root_dir": "/var/snap/docker/common/var-lib-docker"})

    with pytest.raises(GpuUnavailableError) as caught:
        give_gpus(snap, GPUS, hook=True)

    assert "instead of the snap" in str(caught.value.next_step)


def test_the_hook_alone_is_enough() -> None:
    assert give_gpus(host(), GPUS, hook=True).remarks == ()


def test_a_host_that_cannot_be_looked_into_is_tried_with_a_remark() -> None:
    access = give_gpus(host(), GPUS, hook=None)

    assert access.devices.access == "device-request"
    assert "shows when the engine starts" in access.remarks[0]


def test_rootless_docker_is_told_of_its_cgroups() -> None:
    access = give_gpus(host(runtimes=("nvidia", "runc"), security=("seccomp", "rootless")), GPUS)

    assert "no-cgroups" in access.remarks[0]


def test_podman_is_refused_because_it_ignores_the_request() -> None:
    podman = host(components=server_components(posted("docker_info/podman-3.2-docker-version.txt")))

    assert is_podman(podman)
    with pytest.raises(GpuUnavailableError, match="is Podman"):
        give_gpus(podman, GPUS)


def test_docker_is_not_taken_for_podman() -> None:
    components = server_components(posted("docker_info/docker-29.4-version.txt"))

    assert components == ("Engine", "containerd", "runc", "docker-init")
    assert not is_podman(host(components=components))


def test_amd_gpus_are_given_as_device_files() -> None:
    gpu = Gpu(index=0, uuid="", name="AMD Instinct MI300X", vendor="amd")

    assert give_gpus(host(), (gpu,)).devices == GpuDevices(vendor="amd", ids=("0",), access="devices")


def test_a_container_that_sees_its_gpus_is_fine() -> None:
    listing = "\n".join(posted("gpus/list-two-kinds.txt").splitlines()[:2])

    verify_inside(listing, GPUS)


def test_gpus_without_uuids_are_counted() -> None:
    listing = posted("gpus/list-two-kinds.txt").splitlines()[0]

    verify_inside(listing, (Gpu(index=0, uuid="", name="NVIDIA A10"),))


@pytest.mark.parametrize(
    ("listing", "cause"),
    [
        ("gpus/podman-ignored.txt", "the daemon ignored the request for GPUs"),
        ("gpus/list-lost-in-container.txt", "was taken away"),
        ("gpus/failed-mismatch.txt", "restart the machine"),
        ("gpus/list-two-kinds.txt", "gives every container all GPUs"),
    ],
)
def test_a_container_that_sees_others_is_refused_with_the_cause(listing: str, cause: str) -> None:
    with pytest.raises(GpuUnavailableError) as caught:
        verify_inside(posted(listing), GPUS)

    assert cause in caught.value.message
    assert caught.value.evidence[0] == posted(listing).splitlines()[0]


def test_one_gpu_of_two_is_too_few() -> None:
    listing = posted("gpus/list-two-kinds.txt").splitlines()[0]

    with pytest.raises(
        GpuUnavailableError, match=r"given 2 x NVIDIA A10 and sees NVIDIA A10 \(GPU-f15a.*a GPU has failed"
    ):
        verify_inside(listing, GPUS)
