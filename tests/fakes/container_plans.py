"""Plans of containers for an engine that notes what it was asked for: a profile, a target, a placement."""

from collections.abc import Iterable, Sequence

from scout_deploy.containers.deployment import ContainerDeployment, Weights
from scout_deploy.containers.plan import Placement, Target, plan_containers
from scout_deploy.containers.spec import GpuDevices, HealthCheck, Mount
from scout_deploy.diagnosis.signature import Signature
from scout_deploy.engines.adapter import StartPhase
from scout_deploy.engines.container_engine import Accelerator, EngineContainer, EngineRequest
from scout_deploy.model_facts import ModelFacts
from scout_deploy.profile.profile import Profile
from scout_proxy.route_table import Template

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
