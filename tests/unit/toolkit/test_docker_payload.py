"""A container's specification becomes exactly this request of the Docker Engine API."""

import pytest

from scout_deploy.containers.spec import ContainerSpec, GpuDevices, HealthCheck, LogRotation, Mount, PublishedPort
from scout_deploy.runtimes.docker_payload import create_payload

BARE_HOST = {
    "Mounts": [],
    "PortBindings": {},
    "RestartPolicy": {"Name": "no"},
    "CapDrop": ["ALL"],
    "CapAdd": [],
    "SecurityOpt": ["no-new-privileges:true"],
    "ReadonlyRootfs": False,
    "IpcMode": "private",
    "LogConfig": {"Type": "json-file", "Config": {"max-size": "52428800", "max-file": "3"}},
    "Ulimits": [],
    "GroupAdd": [],
}


def host_config(spec: ContainerSpec) -> dict[str, object]:
    config = create_payload(spec, None)["HostConfig"]
    assert isinstance(config, dict)
    return config


def bare(**changes: object) -> ContainerSpec:
    return ContainerSpec(name="scout-engine-1-0", role="engine", image="scout-test:1").model_copy(update=changes)


def test_the_whole_payload_of_a_container_of_which_nothing_is_said() -> None:
    assert create_payload(bare(), None) == {
        "Image": "scout-test:1",
        "Env": [],
        "Labels": {},
        "StopSignal": "SIGTERM",
        "StopTimeout": 10,
        "HostConfig": BARE_HOST,
    }


def test_the_whole_payload_of_an_engine_on_two_gpus() -> None:
    spec = ContainerSpec(
        name="scout-engine-1-0",
        role="engine",
        replica=0,
        image="ghcr.io/huggingface/text-generation-inference@sha256:1",
        entrypoint=("/tgi-entrypoint.sh",),
        command=("--json-output",),
        environment={"PORT": "8080", "MODEL_ID": "/weights/a=b c", "EMPTY": ""},
        mounts=(
            Mount(kind="bind", source="/cache/models--a--b", target="/weights/models--a--b", read_only=True),
            Mount(kind="volume", source="scout-weights", target="/data"),
        ),
        gpus=GpuDevices(vendor="nvidia", ids=("GPU-a", "GPU-b")),
        shm_size_bytes=2_000_000_000,
        ulimits={"stack": 67_108_864, "memlock": -1},
        stop_timeout_s=100,
        health=HealthCheck(argv=("python3", "-c", "x"), interval_s=30.0, timeout_s=2.5, start_period_s=1800.0),
        labels={"scout.role": "engine"},
    )

    assert create_payload(spec, "scout") == {
        "Image": "ghcr.io/huggingface/text-generation-inference@sha256:1",
        "Entrypoint": ["/tgi-entrypoint.sh"],
        "Cmd": ["--json-output"],
        "Env": ["EMPTY=", "MODEL_ID=/weights/a=b c", "PORT=8080"],
        "Labels": {"scout.role": "engine"},
        "StopSignal": "SIGTERM",
        "StopTimeout": 100,
        "Healthcheck": {
            "Test": ["CMD", "python3", "-c", "x"],
            "Interval": 30_000_000_000,
            "Timeout": 2_500_000_000,
            "StartPeriod": 1_800_000_000_000,
            "Retries": 3,
        },
        "NetworkingConfig": {"EndpointsConfig": {"scout": {"Aliases": ["scout-engine-1-0"]}}},
        "HostConfig": BARE_HOST
        | {
            "Mounts": [
                {"Type": "bind", "Source": "/cache/models--a--b", "Target": "/weights/models--a--b", "ReadOnly": True},
                {"Type": "volume", "Source": "scout-weights", "Target": "/data", "ReadOnly": False},
            ],
            "Ulimits": [
                {"Name": "memlock", "Soft": -1, "Hard": -1},
                {"Name": "stack", "Soft": 67_108_864, "Hard": 67_108_864},
            ],
            "ShmSize": 2_000_000_000,
            "DeviceRequests": [
                {
                    "Driver": "nvidia",
                    "DeviceIDs": ["GPU-a", "GPU-b"],
                    "Capabilities": [["gpu", "compute", "utility"]],
                }
            ],
        },
    }


def test_the_whole_payload_of_a_proxy() -> None:
    spec = ContainerSpec(
        name="scout-proxy",
        role="proxy",
        image="scout-deploy/proxy:1",
        mounts=(
            Mount(kind="volume", source="scout-routes", target="/var/lib/scout"),
            Mount(kind="tmpfs", target="/tmp", size_bytes=64),
            Mount(kind="tmpfs", target="/run"),
        ),
        ports=(PublishedPort(container_port=2025, host="::1", port=2030),),
        user="65532",
        read_only=True,
        restart="unless-stopped",
        logs=LogRotation(max_bytes=1000, files=2),
    )

    assert create_payload(spec, "scout") == {
        "Image": "scout-deploy/proxy:1",
        "Env": [],
        "Labels": {},
        "User": "65532",
        "StopSignal": "SIGTERM",
        "StopTimeout": 10,
        "ExposedPorts": {"2025/tcp": {}},
        "NetworkingConfig": {"EndpointsConfig": {"scout": {"Aliases": ["scout-proxy"]}}},
        "HostConfig": BARE_HOST
        | {
            "Mounts": [
                {"Type": "volume", "Source": "scout-routes", "Target": "/var/lib/scout", "ReadOnly": False},
                {"Type": "tmpfs", "Target": "/tmp", "ReadOnly": False, "TmpfsOptions": {"SizeBytes": 64}},
                {"Type": "tmpfs", "Target": "/run", "ReadOnly": False},
            ],
            "PortBindings": {"2025/tcp": [{"HostIp": "::1", "HostPort": "2030"}]},
            "RestartPolicy": {"Name": "unless-stopped"},
            "ReadonlyRootfs": True,
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1000", "max-file": "2"}},
        },
    }


@pytest.mark.parametrize(
    ("vendor", "names"),
    [("nvidia", ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]), ("amd", ["amd.com/gpu=0", "amd.com/gpu=1"])],
)
def test_gpus_by_cdi_are_named_whole(vendor: str, names: list[str]) -> None:
    gpus = GpuDevices.model_validate({"vendor": vendor, "ids": ("0", "1"), "access": "cdi"})

    assert host_config(bare(gpus=gpus)) == BARE_HOST | {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": names}]}


def test_gpus_that_are_device_files_are_handed_over_as_such() -> None:
    spec = bare(
        gpus=GpuDevices(vendor="amd", ids=("0",), access="devices"),
        devices=("/dev/kfd", "/dev/dri"),
        groups=("video",),
        cap_add=("SYS_PTRACE",),
        security_options=("no-new-privileges:true", "seccomp=unconfined"),
    )

    assert host_config(spec) == BARE_HOST | {
        "Devices": [
            {"PathOnHost": path, "PathInContainer": path, "CgroupPermissions": "rwm"}
            for path in ("/dev/kfd", "/dev/dri")
        ],
        "GroupAdd": ["video"],
        "CapAdd": ["SYS_PTRACE"],
        "SecurityOpt": ["no-new-privileges:true", "seccomp=unconfined"],
    }


def test_shared_memory_has_no_size_of_its_own_where_it_is_the_hosts() -> None:
    assert host_config(bare(ipc="host", shm_size_bytes=5)) == BARE_HOST | {"IpcMode": "host"}
