"""A profile becomes exactly these containers."""

from collections.abc import Iterable, Sequence

import pytest

from fakes.tgi_requests import shipped_profile
from scout_deploy.container_draft import Wish, draft
from scout_deploy.containers import labels
from scout_deploy.containers.deployment import ContainerDeployment, Names, Weights
from scout_deploy.containers.plan import Placement, Target, plan_containers
from scout_deploy.containers.spec import ContainerSpec, GpuDevices, HealthCheck, LogRotation, Mount, PublishedPort
from scout_deploy.diagnosis.signature import Signature
from scout_deploy.engines.adapter import StartPhase
from scout_deploy.engines.catalogue import container_engine_for
from scout_deploy.engines.container_engine import Accelerator, EngineContainer, EngineRequest
from scout_deploy.errors import ProfileError
from scout_deploy.known_models import known_facts
from scout_deploy.model_facts import ModelFacts
from scout_deploy.profile.profile import Profile
from scout_deploy.profile.settings import flatten_settings
from scout_deploy.served_model import ServedModel
from scout_proxy.route_table import Identity, Limits, PromptFormat, RouteTable, Serving, Template, Upstream

COMMIT = "c" * 40
WEIGHTS = Weights(
    mount=Mount(kind="bind", source="/cache/models--acme--chat", target="/weights/models--acme--chat", read_only=True),
    path=f"/weights/models--acme--chat/snapshots/{COMMIT}",
    commit=COMMIT,
)
FACTS = ModelFacts(architecture="llama", quantization="compressed-tensors", attention_heads=32, kv_heads=8)
TEMPLATE = Template(chat_template="{{ messages }}", special_tokens=("</s>", "<s>"))
ENGINE_HEALTH = HealthCheck(argv=("probe",), timeout_s=9.0)


class PlainEngine:
    """An engine that notes what it was asked for in its environment."""

    kind = "plain"

    def container(self, request: EngineRequest) -> EngineContainer:
        return EngineContainer(
            image="registry.example/plain:1",
            environment={
                "MODEL": request.weights_path,
                "SHARDS": str(request.shards),
                "ON": request.accelerator,
                "PAYLOAD": str(request.payload_limit_bytes),
            },
            port=7000,
            command=("serve",),
            shm_size_bytes=64_000_000,
            stop_timeout_s=33,
            health=ENGINE_HEALTH,
            user="1000",
            read_only=True,
            devices=("/dev/kfd",) if request.accelerator == "amd" else (),
            ulimits={"memlock": -1},
            remarks=("never tried",),
        )

    def read_phase(self, line: str) -> StartPhase | None:
        return StartPhase(name=line) if line else None

    def kv_tokens(self, lines: Iterable[str]) -> int | None:
        return len(list(lines)) or None

    def signatures(self) -> Sequence[Signature]:
        return ()


def profile(**overrides: object) -> Profile:
    sections: dict[str, object] = {
        "model": {"id": "acme/chat", "revision": "main"},
        "engine": {"kind": "tgi", "version": "3.3.7", "context_length": 4096},
        "hardware": {"gpu_count": 2},
        "replicas": 2,
        "startup": {"timeout_s": 900.0, "stall_after_s": 60.0},
    }
    return Profile.model_validate(sections | overrides)


def cpu_profile() -> Profile:
    return profile(hardware={"cpu_only": True}, replicas=1)


def placement(accelerator: Accelerator = "nvidia", *, may_raise_limits: bool = True) -> Placement:
    vendor = "amd" if accelerator == "amd" else "nvidia"
    access = "devices" if accelerator == "amd" else "device-request"
    return Placement(
        accelerator=accelerator,
        gpus=tuple(
            GpuDevices.model_validate({"vendor": vendor, "ids": ids, "access": access})
            for ids in (("GPU-a", "GPU-b"), ("GPU-c", "GPU-d"))
        ),
        indexes=((0, 1), (4, 5)),
        shards=2,
        may_raise_limits=may_raise_limits,
    )


CPU = Placement(accelerator="intel-cpu")
TARGET = Target(
    name="blue",
    profile_name="my-profile",
    version="9.9.9",
    proxy_image="scout/proxy:1",
    overrides=("replicas=2",),
    engine_image="registry.example/plain@sha256:1",
    generation=3,
)


def plan(
    chosen: Profile | None = None,
    target: Target = TARGET,
    where: Placement | None = None,
    *,
    facts: ModelFacts = FACTS,
    weights: Weights = WEIGHTS,
) -> ContainerDeployment:
    return plan_containers(
        chosen or profile(),
        target,
        PlainEngine(),
        facts=facts,
        weights=weights,
        template=TEMPLATE,
        placement=where or placement(),
    )


def common_labels(chosen: Profile, target: Target = TARGET) -> dict[str, str]:
    return {
        "scout.deployment": target.name,
        "scout.profile": "my-profile",
        "scout.version": "9.9.9",
        "scout.engine": "plain",
        "scout.settings": labels.write_settings(flatten_settings(chosen, "9.9.9")),
        "scout.overrides": '["replicas=2"]',
    }


def expected_proxy(chosen: Profile) -> ContainerSpec:
    return ContainerSpec(
        name="scout-blue-proxy",
        role="proxy",
        image="scout/proxy:1",
        command=("--routes", "/var/lib/scout/routes.json", "--host", "0.0.0.0", "--port", "2025"),
        mounts=(
            Mount(kind="volume", source="scout-blue-routes", target="/var/lib/scout"),
            Mount(kind="tmpfs", target="/tmp", size_bytes=64 * 2**20),
        ),
        ports=(PublishedPort(container_port=2025, host="127.0.0.1", port=2025),),
        user="65532",
        read_only=True,
        cap_drop=("ALL",),
        security_options=("no-new-privileges:true",),
        stop_timeout_s=30,
        stop_signal="SIGTERM",
        restart="unless-stopped",
        health=HealthCheck(
            argv=("python", "-m", "scout_proxy.ask", "/health", "--expect", "200,503"),
            interval_s=10.0,
            timeout_s=5.0,
            start_period_s=30.0,
            retries=3,
        ),
        logs=LogRotation(max_bytes=50 * 2**20, files=3),
        labels=common_labels(chosen)
        | {
            "scout.role": "proxy",
            "scout.host": "127.0.0.1",
            "scout.port": "2025",
            "scout.stop_timeout_s": "30",
        },
    )


def expected_engine(chosen: Profile, replica: int, **changes: object) -> ContainerSpec:
    indexes, ids = (((0, 1), ("GPU-a", "GPU-b")), ((4, 5), ("GPU-c", "GPU-d")))[replica]
    spec = ContainerSpec(
        name=f"scout-blue-engine-3-{replica}",
        role="engine",
        replica=replica,
        image="registry.example/plain@sha256:1",
        command=("serve",),
        environment={"MODEL": WEIGHTS.path, "SHARDS": "2", "ON": "nvidia", "PAYLOAD": "12065536"},
        mounts=(WEIGHTS.mount,),
        gpus=GpuDevices(vendor="nvidia", ids=ids),
        shm_size_bytes=64_000_000,
        ulimits={"memlock": -1},
        user="1000",
        read_only=True,
        cap_drop=("ALL",),
        security_options=("no-new-privileges:true",),
        stop_timeout_s=33,
        restart="no",
        health=ENGINE_HEALTH.model_copy(update={"start_period_s": 900.0}),
        labels=common_labels(chosen)
        | {
            "scout.role": "engine",
            "scout.replica": str(replica),
            "scout.generation": "3",
            "scout.image": "registry.example/plain:1",
            "scout.model": "acme/chat",
            "scout.commit": COMMIT,
            "scout.gpus": ",".join(map(str, indexes)),
        },
    )
    return spec.model_copy(update=changes)


def test_the_whole_deployment_of_two_replicas_on_gpus() -> None:
    chosen = profile()

    assert plan(chosen) == ContainerDeployment(
        name="blue",
        profile="my-profile",
        generation=3,
        settings=flatten_settings(chosen, "9.9.9"),
        engine_kind="plain",
        host="127.0.0.1",
        port=2025,
        proxy=expected_proxy(chosen).with_fingerprint(),
        engines=(expected_engine(chosen, 0).with_fingerprint(), expected_engine(chosen, 1).with_fingerprint()),
        engine_port=7000,
        weights=WEIGHTS,
        routes=RouteTable(
            revision=1,
            deployment="blue",
            profile="my-profile",
            identity=Identity(name="acme/chat API", model="acme/chat"),
            serving=Serving(
                model_id="acme/chat",
                revision=COMMIT,
                engine="plain",
                engine_version="3.3.7",
                quantization="compressed-tensors",
                context_length=4096,
            ),
            template=TEMPLATE,
            limits=Limits(),
        ),
        start_timeout_s=900.0,
        stall_after_s=60.0,
        remarks=("never tried",),
    )


def test_the_whole_engine_on_a_cpu() -> None:
    chosen = cpu_profile()
    target = Target(name="scout", profile_name="my-profile", version="9.9.9", proxy_image="p", start_timeout_s=5.0)

    (engine,) = plan(chosen, target, CPU).engines

    own = common_labels(chosen, target) | {
        "scout.overrides": "[]",
        "scout.role": "engine",
        "scout.replica": "0",
        "scout.generation": "1",
        "scout.image": "registry.example/plain:1",
        "scout.model": "acme/chat",
        "scout.commit": COMMIT,
        "scout.gpus": "",
    }
    assert (
        engine
        == ContainerSpec(
            name="scout-engine-1-0",
            role="engine",
            replica=0,
            # Before it is pulled, an image is named by its tag.
            image="registry.example/plain:1",
            command=("serve",),
            environment={"MODEL": WEIGHTS.path, "SHARDS": "1", "ON": "intel-cpu", "PAYLOAD": "12065536"},
            mounts=(WEIGHTS.mount,),
            shm_size_bytes=64_000_000,
            user="1000",
            read_only=True,
            stop_timeout_s=33,
            health=ENGINE_HEALTH.model_copy(update={"start_period_s": 5.0}),
            labels=own,
        ).with_fingerprint()
    )


def test_amd_engines_see_their_own_gpus_alone() -> None:
    engines = plan(where=placement("amd")).engines

    assert [one.environment["ROCR_VISIBLE_DEVICES"] for one in engines] == ["0,1", "4,5"]
    assert {one.devices for one in engines} == {("/dev/kfd",)}


def test_a_daemon_that_may_not_raise_limits_is_asked_for_none() -> None:
    assert [one.ulimits for one in plan(where=placement(may_raise_limits=False)).engines] == [{}, {}]


def test_the_whole_engine_of_a100_4bit_on_the_real_adapter() -> None:
    chosen = shipped_profile("a100-4bit")
    facts = known_facts(chosen.model.id) or ModelFacts()
    wish = Wish(profile=chosen, profile_name="a100-4bit", name="scout", version="9.9.9")
    model = ServedModel(weights=WEIGHTS, facts=facts, template=TEMPLATE)

    deployment = draft(wish, container_engine_for("tgi"), model)
    (engine,) = deployment.engines

    assert engine.health is not None
    assert engine == ContainerSpec(
        name="scout-engine-1-0",
        role="engine",
        replica=0,
        image="ghcr.io/huggingface/text-generation-inference:3.3.7",
        environment={
            "MODEL_ID": WEIGHTS.path,
            "NUM_SHARD": "1",
            "PORT": "8080",
            "MAX_CONCURRENT_REQUESTS": "128",
            "MAX_STOP_SEQUENCES": "64",
            "PAYLOAD_LIMIT": "12065536",
            "GRACEFUL_TERMINATION_TIMEOUT": "90",
            "USAGE_STATS": "off",
            "HF_HUB_OFFLINE": "1",
            "QUANTIZE": "compressed-tensors",
            "MAX_TOTAL_TOKENS": "8192",
            "MAX_BATCH_PREFILL_TOKENS": "2048",
        },
        mounts=(WEIGHTS.mount,),
        gpus=GpuDevices(vendor="nvidia", ids=("0",)),
        shm_size_bytes=1_000_000_000,
        ulimits={"memlock": -1, "stack": 67_108_864},
        stop_timeout_s=100,
        health=HealthCheck(argv=engine.health.argv, timeout_s=30.0, start_period_s=1800.0),
        labels=engine.labels,
    )
    assert engine.labels["scout.model"] == "RedHatAI/Llama-4-Scout-17B-16E-Instruct-quantized.w4a16"
    assert deployment.routes.identity == Identity(
        name="Llama 4 Scout-17B API", model="meta-llama/Llama-4-Scout-17B-16E-Instruct"
    )
    assert deployment.routes.serving.quantization == "compressed-tensors"
    assert deployment.proxy.image.startswith("scout-deploy/proxy:")


def test_upstreams_are_the_engines_by_their_names_on_the_network() -> None:
    assert plan().upstreams() == (
        Upstream(id="scout-blue-engine-3-0", url="http://scout-blue-engine-3-0:7000"),
        Upstream(id="scout-blue-engine-3-1", url="http://scout-blue-engine-3-1:7000"),
    )


def test_the_default_deployment_is_not_named_twice() -> None:
    default, other = Names(deployment="scout"), Names(deployment="green")

    assert (default.network, default.proxy, default.engine(1, 0)) == ("scout", "scout-proxy", "scout-engine-1-0")
    assert (other.network, other.routes_volume) == ("scout-green", "scout-green-routes")


def test_a_fingerprint_says_what_runs_and_not_what_it_is_called() -> None:
    first, second = plan().engines
    renamed = first.model_copy(update={"name": "other", "labels": {"scout.generation": "4"}})

    assert renamed.fingerprint() == first.fingerprint() == first.labels["scout.config"]
    assert second.fingerprint() != first.fingerprint()


@pytest.mark.parametrize(
    "change",
    [
        {"image": "registry.example/plain@sha256:2"},
        {"environment": {"MODEL": "other"}},
        {"command": ("serve", "--fast")},
        {"shm_size_bytes": 1},
        {"read_only": False},
        {"mounts": ()},
        {"gpus": None},
        {"logs": LogRotation(files=9)},
        {"restart": "unless-stopped"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_fingerprint_changes_with_what_runs(change: dict[str, object]) -> None:
    engine = plan().engines[0]

    assert engine.model_copy(update=change).fingerprint() != engine.fingerprint()


def test_the_labels_alone_tell_the_profile_again() -> None:
    chosen = profile(api={"name": "Ünïcode API"})
    deployment = plan(chosen)

    for spec in (deployment.proxy, *deployment.engines):
        assert labels.read_settings(spec.labels) == flatten_settings(chosen, "9.9.9")
        assert labels.read_overrides(spec.labels) == ("replicas=2",)
    assert [labels.read_gpus(spec.labels) for spec in deployment.engines] == [(0, 1), (4, 5)]


@pytest.mark.parametrize(
    ("host", "published"),
    [("localhost", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"), ("::1", "::1"), ("10.0.0.7", "10.0.0.7")],
)
def test_the_api_is_published_on_an_address(host: str, published: str) -> None:
    # Docker would publish the name "localhost" on every address of the machine.
    assert plan(profile(proxy={"host": host})).proxy.ports[0].host == published


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"proxy": {"host": "gpu-box.lan"}}, "proxy/host: got 'gpu-box.lan', expected an IP address"),
        (
            {"model": {}, "engine": {"kind": "embedded"}, "hardware": {}, "replicas": 1},
            "model: got neither id nor path",
        ),
    ],
)
def test_what_would_not_be_honoured_is_refused(overrides: dict[str, object], expected: str) -> None:
    with pytest.raises(ProfileError, match=expected) as caught:
        plan(profile(**overrides), where=CPU)

    assert caught.value.message.startswith("profile 'my-profile' asks for what this deployment would not do:\n")


def test_a_directory_is_served_under_its_own_name_whatever_the_api_says() -> None:
    chosen = profile(model={"path": "/models/my-chat"}, api={"model": "acme/public"})
    own = Weights(
        mount=Mount(kind="bind", source="/models/my-chat", target="/weights/my-chat"), path="/weights/my-chat"
    )

    deployment = plan(chosen, weights=own)

    assert deployment.routes.serving.model_id == "my-chat"
    assert deployment.routes.serving.revision is None
    assert deployment.routes.identity.model == "acme/public"
    assert deployment.engines[0].labels["scout.model"] == "/models/my-chat"


def test_the_profiles_limits_reach_the_proxy() -> None:
    chosen = profile(
        proxy={
            "prompt_format": "raw",
            "limits": {"max_body_bytes": 1000, "drain_s": 7.5, "deadline_s": 9.0},
            "queue": {"max_waiting": 3},
            "port": 2030,
        }
    )
    deployment = plan(chosen)

    limits = deployment.routes.limits
    assert (limits.max_body_bytes, limits.drain_s, limits.deadline_s, limits.max_waiting) == (1000, 7.5, 9.0, 3)
    assert deployment.routes.template == TEMPLATE.model_copy(update={"prompt_format": PromptFormat.RAW})
    # Escaped as JSON, a text can be six times as long.
    assert deployment.engines[0].environment["PAYLOAD"] == str(6 * 1000 + 65_536)
    assert deployment.proxy.stop_timeout_s == 17
    assert deployment.proxy.ports[0].port == 2030
    assert deployment.proxy.labels["scout.port"] == "2030"


def test_logs_and_spans_change_the_proxys_command_and_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "key=a-secret")
    usual = plan()
    proxy = {"log": {"level": "debug", "access": "sampled"}, "tracing": {"endpoint": "http://collector:4318"}}

    chosen = plan(profile(proxy=proxy))

    assert chosen.proxy.command == (
        *usual.proxy.command,
        *("--log-level", "debug", "--access-log", "sampled", "--otlp-endpoint", "http://collector:4318"),
    )
    assert (chosen.proxy.environment, chosen.proxy.health) == ({}, usual.proxy.health)
    assert chosen.proxy.fingerprint() != usual.proxy.fingerprint()
    assert [one.fingerprint() for one in chosen.engines] == [one.fingerprint() for one in usual.engines]
    assert "a-secret" not in chosen.model_dump_json()
