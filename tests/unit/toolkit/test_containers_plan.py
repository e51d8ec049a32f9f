"""A profile becomes exactly these containers."""

from fakes.container_plans import (
    COMMIT,
    CPU,
    ENGINE_HEALTH,
    TARGET,
    TEMPLATE,
    WEIGHTS,
    cpu_profile,
    placement,
    plan,
    profile,
)
from fakes.tgi_requests import shipped_profile
from scout_deploy.container_draft import Wish, draft
from scout_deploy.containers import labels
from scout_deploy.containers.deployment import ContainerDeployment
from scout_deploy.containers.plan import Target
from scout_deploy.containers.spec import ContainerSpec, GpuDevices, HealthCheck, LogRotation, Mount, PublishedPort
from scout_deploy.engines.catalogue import container_engine_for
from scout_deploy.known_models import known_facts
from scout_deploy.model_facts import ModelFacts
from scout_deploy.profile.profile import Profile
from scout_deploy.profile.settings import flatten_settings
from scout_deploy.served_model import ServedModel
from scout_proxy.route_table import Identity, Limits, RouteTable, Serving


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
