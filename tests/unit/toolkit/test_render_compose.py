"""The Compose document of a plan, whole."""

import io
import tarfile

import pytest
import yaml

from fakes.tgi_requests import LLAMA, tgi_profile
from scout_deploy.containers.deployment import ContainerDeployment, Weights
from scout_deploy.containers.plan import Target, plan_containers
from scout_deploy.containers.spec import ContainerSpec, GpuDevices, HealthCheck, Mount, PublishedPort
from scout_deploy.engines.catalogue import container_engine_for
from scout_deploy.errors import ProfileError
from scout_deploy.profile.profile import Profile
from scout_deploy.proxy_image.context import ProxyImage
from scout_deploy.render.bundle import compose_bundle, fetch_command
from scout_deploy.render.compose import compose_document, compose_routes
from scout_deploy.render.placement import GpuWay, placement_for
from scout_deploy.render.service import Section, service
from scout_deploy.render.yaml_text import yaml_text
from scout_proxy.route_table import RouteTable, Template, UpstreamState

BIND = Mount(kind="bind", source="/models/llama", target="/weights/llama", read_only=True)
OF_FOLDER = Weights(mount=BIND, path="/weights/llama")
MISSING = Weights(
    mount=Mount(kind="bind", source="/cache/hub/models--one--two", target="/weights/models--one--two", read_only=True),
    path="/weights/models--one--two/snapshots/COMMIT",
)
VOLUME = Weights(
    mount=Mount(kind="volume", source="scout-weights", target="/weights", read_only=True),
    path="/weights/models--one--two/snapshots/COMMIT",
)


def plan(
    profile: Profile, *, name: str = "scout", way: GpuWay | None = None, weights: Weights = OF_FOLDER
) -> ContainerDeployment:
    return plan_containers(
        profile,
        Target(name=name, profile_name="mine", version="9.9.9", proxy_image="proxy:1"),
        container_engine_for("tgi"),
        facts=LLAMA,
        weights=weights,
        template=Template(),
        placement=placement_for(profile, way),
    )


def two_replicas(way: GpuWay | None = None) -> ContainerDeployment:
    profile = tgi_profile({"max_batch_prefill_tokens": 8192, "context_length": 8192}, gpus=2)
    return plan(profile.model_copy(update={"replicas": 2}), way=way)


def services(deployment: ContainerDeployment) -> dict[str, Section]:
    found = compose_document(deployment)["services"]
    assert isinstance(found, dict)
    return found


def image(**files: bytes) -> ProxyImage:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return ProxyImage(tag="proxy:1", base_image="python:3.13-slim", version="9.9.9", context_tar=archive.getvalue())


def test_every_field_of_a_container_is_carried() -> None:
    spec = ContainerSpec(
        name="scout-engine-1-0",
        role="engine",
        replica=0,
        image="image@sha256:1",
        entrypoint=("/bin/sh",),
        command=("-c", "exit 0"),
        environment={"B": "2", "A": "1e3"},
        mounts=(
            Mount(kind="bind", source="/models", target="/weights", read_only=True),
            Mount(kind="volume", source="cache", target="/cache"),
            Mount(kind="tmpfs", target="/tmp", size_bytes=1024),
        ),
        ports=(
            PublishedPort(container_port=80, host="127.0.0.1", port=8080),
            PublishedPort(container_port=81, host="::1", port=8081),
        ),
        gpus=GpuDevices(vendor="nvidia", ids=("0", "GPU-1")),
        devices=("/dev/kfd",),
        groups=("video",),
        shm_size_bytes=1_000_000_000,
        ulimits={"stack": 67_108_864, "memlock": -1},
        user="1000",
        read_only=True,
        cap_add=("SYS_NICE",),
        security_options=("no-new-privileges:true", "seccomp=unconfined"),
        stop_timeout_s=100,
        stop_signal="SIGINT",
        restart="unless-stopped",
        health=HealthCheck(argv=("true",), interval_s=0.5, timeout_s=30, start_period_s=1_234_567, retries=2),
        labels={"scout.role": "engine"},
    )

    assert yaml.safe_load(yaml_text(service(spec, network="private"))) == {
        "container_name": "scout-engine-1-0",
        "image": "image@sha256:1",
        "entrypoint": ["/bin/sh"],
        "command": ["-c", "exit 0"],
        "environment": {"A": "1e3", "B": "2"},
        "volumes": [
            {"type": "bind", "source": "/models", "target": "/weights", "read_only": True},
            {"type": "volume", "source": "cache", "target": "/cache", "read_only": False},
            {"type": "tmpfs", "target": "/tmp", "tmpfs": {"size": 1024}},
        ],
        "ports": ["127.0.0.1:8080:80", "[::1]:8081:81"],
        "networks": {"private": {"aliases": ["scout-engine-1-0"]}},
        "deploy": {
            "resources": {
                "reservations": {
                    "devices": [
                        {
                            "driver": "nvidia",
                            "device_ids": ["0", "GPU-1"],
                            "capabilities": ["gpu", "compute", "utility"],
                        }
                    ]
                }
            }
        },
        "devices": ["/dev/kfd:/dev/kfd:rwm"],
        "ipc": "private",
        "shm_size": 1_000_000_000,
        "ulimits": {"memlock": {"soft": -1, "hard": -1}, "stack": {"soft": 67_108_864, "hard": 67_108_864}},
        "user": "1000",
        "group_add": ["video"],
        "read_only": True,
        "cap_drop": ["ALL"],
        "cap_add": ["SYS_NICE"],
        "security_opt": ["no-new-privileges:true", "seccomp=unconfined"],
        "restart": "unless-stopped",
        "stop_grace_period": "100s",
        "stop_signal": "SIGINT",
        "logging": {"driver": "json-file", "options": {"max-size": "52428800", "max-file": "3"}},
        "healthcheck": {
            "test": ["CMD", "true"],
            "interval": "500ms",
            "timeout": "30s",
            "start_period": "1234567s",
            "retries": 2,
        },
        "labels": {"scout.role": "engine"},
    }


def test_no_field_of_a_container_is_forgotten() -> None:
    # A field that a container gets one day has to be carried, or named here as one that Compose does not need.
    carried = {
        *("name", "image", "entrypoint", "command", "environment", "mounts", "ports", "gpus", "devices", "groups"),
        *("shm_size_bytes", "ulimits", "ipc", "user", "read_only", "cap_drop", "cap_add", "security_options"),
        *("stop_timeout_s", "stop_signal", "restart", "health", "logs", "labels"),
    }

    assert set(ContainerSpec.model_fields) == carried | {"role", "replica"}


def test_the_hosts_memory_is_shared_without_a_size_of_its_own() -> None:
    spec = ContainerSpec(name="one", role="engine", image="image", ipc="host", shm_size_bytes=1)

    section = service(spec, network="private")

    assert section["ipc"] == "host"
    assert "shm_size" not in section


def test_two_replicas_are_two_services_on_gpus_of_their_own() -> None:
    deployment = two_replicas()
    found = services(deployment)

    assert list(found) == ["proxy", "engine-0", "engine-1"]
    for number, ids in enumerate((["0", "1"], ["2", "3"])):
        spec = deployment.engines[number]
        assert found[f"engine-{number}"] == yaml.safe_load(
            yaml_text(service(spec.model_copy(update={"restart": "unless-stopped"}), network="private"))
        )
        assert found[f"engine-{number}"]["deploy"] == {
            "resources": {
                "reservations": {
                    "devices": [{"driver": "nvidia", "device_ids": ids, "capabilities": ["gpu", "compute", "utility"]}]
                }
            }
        }


def test_cdi_devices_are_asked_for_by_their_whole_names() -> None:
    engine = services(two_replicas(GpuWay.NVIDIA_CDI))["engine-1"]

    assert engine["deploy"] == {
        "resources": {
            "reservations": {
                "devices": [
                    {
                        "driver": "cdi",
                        "device_ids": ["nvidia.com/gpu=2", "nvidia.com/gpu=3"],
                        "capabilities": ["gpu"],
                    }
                ]
            }
        }
    }


def test_amds_gpus_are_device_files_and_a_variable_that_parts_them() -> None:
    engine = services(two_replicas(GpuWay.AMD))["engine-1"]

    assert "deploy" not in engine
    assert engine["image"] == "ghcr.io/huggingface/text-generation-inference:3.3.7-rocm"
    assert engine["devices"] == ["/dev/kfd:/dev/kfd:rwm", "/dev/dri:/dev/dri:rwm"]
    assert engine["group_add"] == ["video"]
    assert engine["cap_add"] == ["SYS_PTRACE"]
    environment = engine["environment"]
    assert isinstance(environment, dict)
    assert environment["ROCR_VISIBLE_DEVICES"] == "2,3"


def test_an_engine_on_the_cpu_asks_for_no_device() -> None:
    engine = services(plan(tgi_profile(gpus=None)))["engine-0"]

    assert not {"deploy", "devices", "ulimits"} & engine.keys()


def test_a_way_to_gpus_is_refused_for_a_profile_without_them() -> None:
    with pytest.raises(ProfileError, match="--gpus: got amd, but the profile computes on the CPU"):
        plan(tgi_profile(gpus=None), way=GpuWay.AMD)


def test_names_and_labels_are_those_that_status_and_down_look_for() -> None:
    deployment = plan(tgi_profile(), name="other")
    document = compose_document(deployment)
    found = services(deployment)

    assert found["proxy"]["labels"] == {key: value.replace("$", "$$") for key, value in deployment.proxy.labels.items()}
    assert [one["container_name"] for one in found.values()] == ["scout-other-proxy", "scout-other-engine-1-0"]
    assert document["networks"] == {
        "private": {"name": "scout-other", "driver": "bridge", "labels": {"scout.deployment": "other"}}
    }


def test_the_proxy_reads_the_route_table_from_the_folder_beside() -> None:
    proxy = services(plan(tgi_profile()))["proxy"]

    assert proxy["volumes"] == [
        {"type": "bind", "source": "./routes", "target": "/var/lib/scout", "read_only": True},
        {"type": "tmpfs", "target": "/tmp", "tmpfs": {"size": 67_108_864}},
    ]


def test_the_proxy_is_stopped_before_the_engines_that_answer_its_last_requests() -> None:
    assert services(two_replicas())["proxy"]["depends_on"] == ["engine-0", "engine-1"]


def test_the_route_table_calls_every_engine_running() -> None:
    routes = compose_routes(two_replicas())

    assert [(one.id, one.url, one.state) for one in routes.upstreams] == [
        ("scout-engine-1-0", "http://scout-engine-1-0:8080", UpstreamState.RUNNING),
        ("scout-engine-1-1", "http://scout-engine-1-1:8080", UpstreamState.RUNNING),
    ]


def test_weights_of_a_volume_are_never_composes_to_make_or_remove() -> None:
    document = compose_document(plan(tgi_profile(), weights=VOLUME))

    assert document["volumes"] == {"scout-weights": {"name": "scout-weights", "external": True}}


def test_what_looks_like_a_variable_is_kept_as_it_is() -> None:
    engine = services(plan(tgi_profile({"environment": {"NOTE": "${HOME} costs $5"}})))["engine-0"]

    environment = engine["environment"]
    assert isinstance(environment, dict)
    assert environment["NOTE"] == "$${HOME} costs $$5"


def test_a_file_written_before_the_weights_were_there_cannot_be_started() -> None:
    engine = services(plan(tgi_profile(), weights=MISSING))["engine-0"]

    environment = engine["environment"]
    assert isinstance(environment, dict)
    assert environment["MODEL_ID"] == (
        "/weights/models--one--two/snapshots/"
        "${SCOUT_WEIGHTS:?the weights were not here when this file was written, see its first lines}"
    )


def test_missing_weights_are_fetched_into_the_cache_that_is_mounted() -> None:
    fetch = "hf download someone/something --cache-dir /cache/hub --exclude 'original/*' '*.bin' '*.pth' '*.gguf'"

    bundle = compose_bundle(plan(tgi_profile(), weights=MISSING), proxy_image=None, version="9.9.9", again="again")

    assert bundle.fetch == fetch
    assert f"#   {fetch}\n" in bundle.files["compose.yaml"].decode()


def test_missing_weights_of_another_machine_are_fetched_by_up() -> None:
    assert fetch_command(plan(tgi_profile(), weights=VOLUME)) == "scout-deploy up --profile mine"


def test_a_folder_of_ones_own_lacks_nothing() -> None:
    bundle = compose_bundle(plan(tgi_profile()), proxy_image=None, version="9.9.9", again="again")

    assert bundle.fetch is None
    assert b"MISSING" not in bundle.files["compose.yaml"]


def test_the_files_are_all_that_compose_needs() -> None:
    deployment = plan(tgi_profile(), name="other")

    bundle = compose_bundle(
        deployment, proxy_image=image(Dockerfile=b"FROM x\n"), version="9.9.9", again="write it --again"
    )

    assert bundle.files[".env"] == b"COMPOSE_PROJECT_NAME=scout-other\n"
    assert bundle.files["proxy-image/Dockerfile"] == b"FROM x\n"
    assert RouteTable.model_validate_json(bundle.files["routes/routes.json"]) == compose_routes(deployment)
    text = bundle.files["compose.yaml"].decode()
    assert "#   write it --again\n" in text
    build: Section = {
        "context": "./proxy-image",
        "args": {"BASE_IMAGE": "python:3.13-slim", "SCOUT_VERSION": "9.9.9"},
    }
    assert yaml.safe_load(text) == compose_document(deployment, build=build)


def test_an_image_that_compose_builds_is_never_looked_for_in_a_registry() -> None:
    document = compose_document(plan(tgi_profile()), build={"context": "./proxy-image"})

    found = document["services"]
    assert isinstance(found, dict)
    assert found["proxy"]["image"] == "proxy:1"
    assert found["proxy"]["pull_policy"] == "never"


def test_an_image_of_ones_own_is_not_built() -> None:
    assert not {"build", "pull_policy"} & services(plan(tgi_profile()))["proxy"].keys()


@pytest.mark.parametrize(
    "text", ["1e3", "0o17", "2025:2025", "yes", "null", "~", "0.5", ".inf", "1_000", "a: b", "a #b"]
)
def test_texts_that_yaml_could_take_for_something_else_are_quoted(text: str) -> None:
    assert yaml_text({"key": text}) == f"key: '{text}'\n"
