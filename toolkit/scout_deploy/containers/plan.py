"""From a profile to the containers of a deployment. Pure: the same input gives the same containers."""

from dataclasses import dataclass, field
from pathlib import PurePath

from scout_deploy.containers import labels
from scout_deploy.containers.deployment import (
    PROXY_USER,
    ROUTES_FILE,
    ROUTES_FOLDER,
    ContainerDeployment,
    Names,
    Weights,
)
from scout_deploy.containers.refused import published_address, refused_settings
from scout_deploy.containers.spec import ContainerSpec, GpuDevices, HealthCheck, Mount, PublishedPort
from scout_deploy.engines.container_engine import Accelerator, ContainerEngine, EngineContainer, EngineRequest
from scout_deploy.errors import ProfileError
from scout_deploy.model_facts import ModelFacts
from scout_deploy.profile.profile import Profile
from scout_deploy.profile.settings import flatten_settings
from scout_deploy.proxy_options import proxy_options
from scout_deploy.proxy_remarks import proxy_remarks
from scout_deploy.proxy_secrets import ProxySecrets
from scout_deploy.proxy_settings import proxy_settings
from scout_proxy.route_table import PromptFormat, RouteTable, Serving, Template

PROXY_PORT = 2025
# JSON can write a text six times as long, and it must not be the engine that refuses what the proxy accepted.
_JSON_GROWTH = 6
_PAYLOAD_MARGIN_BYTES = 65_536
_PROXY_STOP_MARGIN_S = 10
_TMPFS_BYTES = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where the engines compute.

    Args:
        gpus: The devices of each replica, in their order; empty on a CPU.
        indexes: The same by the driver's index; what the label says.
        shards: GPUs of one replica; 1 on a CPU.
        may_raise_limits: Whether the daemon may give a container more than it has itself; a rootless one may not, and
            only GPUs need it.
    """

    accelerator: Accelerator
    gpus: tuple[GpuDevices, ...] = ()
    indexes: tuple[tuple[int, ...], ...] = ()
    shards: int = 1
    may_raise_limits: bool = False


@dataclass(frozen=True, kw_only=True)
class Target:
    """As what a deployment is to run.

    Args:
        generation: 1 at the first `up`; one more for each update of a running deployment.
        proxy_image: The proxy's image.
        overrides: What was given with `--set`.
        engine_image: The engine's image as it was resolved, by digest; None before that.
        secrets: What the profile's keys and variables hold.
    """

    name: str
    profile_name: str
    version: str
    proxy_image: str
    overrides: tuple[str, ...] = ()
    engine_image: str | None = None
    generation: int = 1
    start_timeout_s: float | None = None
    secrets: ProxySecrets = field(default=ProxySecrets(), repr=False)


def plan_containers(
    profile: Profile,
    target: Target,
    engine: ContainerEngine,
    *,
    facts: ModelFacts,
    weights: Weights,
    template: Template,
    placement: Placement,
) -> ContainerDeployment:
    """Plan a deployment whose engines run in containers.

    Args:
        facts: Of the model, as far as they are known.
        template: What its publisher ships; the profile's choice of prompt format is put into it.

    Raises:
        ProfileError: A setting that nothing would honour, or that the engine would refuse.
    """
    if problems := tuple(refused_settings(profile)):
        raise ProfileError(
            f"profile '{target.profile_name}' asks for what this deployment would not do:\n" + "\n".join(problems)
        )
    answer = engine.container(_request(profile, facts, placement, weights))
    settings = flatten_settings(profile, target.version)
    common = {
        labels.DEPLOYMENT: target.name,
        labels.PROFILE: target.profile_name,
        labels.VERSION: target.version,
        labels.ENGINE: engine.kind,
        labels.SETTINGS: labels.write_settings(settings),
        labels.OVERRIDES: labels.write_overrides(target.overrides),
    }
    return ContainerDeployment(
        name=target.name,
        profile=target.profile_name,
        generation=target.generation,
        settings=settings,
        engine_kind=engine.kind,
        host=profile.proxy.host,
        port=profile.proxy.port,
        proxy=_proxy(profile, target, common).with_fingerprint(),
        engines=tuple(
            _engine(
                profile=profile,
                target=target,
                answer=answer,
                placement=placement,
                weights=weights,
                replica=replica,
                common=common,
            ).with_fingerprint()
            for replica in range(profile.replicas)
        ),
        engine_port=answer.port,
        weights=weights,
        routes=_routes(
            profile=profile, target=target, facts=facts, weights=weights, template=template, kind=engine.kind
        ),
        start_timeout_s=target.start_timeout_s or profile.startup.timeout_s,
        stall_after_s=profile.startup.stall_after_s,
        remarks=(*answer.remarks, *proxy_remarks(profile)),
    )


def _request(profile: Profile, facts: ModelFacts, placement: Placement, weights: Weights) -> EngineRequest:
    return EngineRequest(
        profile=profile,
        facts=facts,
        accelerator=placement.accelerator,
        shards=placement.shards,
        weights_path=weights.path,
        payload_limit_bytes=profile.proxy.limits.max_body_bytes * _JSON_GROWTH + _PAYLOAD_MARGIN_BYTES,
    )


def _engine(
    *,
    profile: Profile,
    target: Target,
    answer: EngineContainer,
    placement: Placement,
    weights: Weights,
    replica: int,
    common: dict[str, str],
) -> ContainerSpec:
    indexes = placement.indexes[replica] if placement.indexes else ()
    return ContainerSpec(
        name=Names(deployment=target.name).engine(target.generation, replica),
        role="engine",
        replica=replica,
        image=target.engine_image or answer.image,
        command=answer.command,
        environment=answer.environment | _visible(placement, indexes),
        mounts=(weights.mount,),
        gpus=placement.gpus[replica] if placement.gpus else None,
        devices=answer.devices,
        groups=answer.groups,
        shm_size_bytes=answer.shm_size_bytes,
        ulimits=answer.ulimits if placement.may_raise_limits else {},
        ipc=answer.ipc,
        user=answer.user,
        read_only=answer.read_only,
        cap_add=answer.cap_add,
        security_options=answer.security_options,
        stop_timeout_s=answer.stop_timeout_s,
        health=answer.health.model_copy(update={"start_period_s": target.start_timeout_s or profile.startup.timeout_s}),
        labels=common
        | {
            labels.ROLE: "engine",
            labels.REPLICA: str(replica),
            labels.GENERATION: str(target.generation),
            labels.IMAGE: answer.image,
            labels.MODEL: profile.model.id or profile.model.path or "",
            labels.GPUS: ",".join(map(str, indexes)),
        }
        | ({} if weights.commit is None else {labels.COMMIT: weights.commit}),
    )


def _visible(placement: Placement, indexes: tuple[int, ...]) -> dict[str, str]:
    """Narrow what an engine uses where its container is handed the device files of all GPUs, as AMD's are."""
    if placement.accelerator != "amd":
        return {}
    return {"ROCR_VISIBLE_DEVICES": ",".join(map(str, indexes))}


def _proxy(profile: Profile, target: Target, common: dict[str, str]) -> ContainerSpec:
    proxy, names = profile.proxy, Names(deployment=target.name)
    routes = f"{ROUTES_FOLDER}/{ROUTES_FILE}"
    stop_timeout_s = int(proxy.limits.drain_s) + _PROXY_STOP_MARGIN_S
    return ContainerSpec(
        name=names.proxy,
        role="proxy",
        image=target.proxy_image,
        command=("--routes", routes, "--host", "0.0.0.0", "--port", str(PROXY_PORT), *proxy_options(proxy)),
        mounts=(
            Mount(kind="volume", source=names.routes_volume, target=ROUTES_FOLDER),
            Mount(kind="tmpfs", target="/tmp", size_bytes=_TMPFS_BYTES),
        ),
        ports=(
            PublishedPort(container_port=PROXY_PORT, host=published_address(proxy.host) or proxy.host, port=proxy.port),
        ),
        user=str(PROXY_USER),
        read_only=True,
        stop_timeout_s=stop_timeout_s,
        # It is up before the engine and after it, whatever that does.
        restart="unless-stopped",
        # 503 is an answer too: the proxy is healthy while its engine starts.
        health=HealthCheck(
            argv=("python", "-m", "scout_proxy.ask", "/health", "--expect", "200,503"),
            interval_s=10.0,
            timeout_s=5.0,
            start_period_s=30.0,
        ),
        labels=common
        | {
            labels.ROLE: "proxy",
            labels.HOST: proxy.host,
            labels.PORT: str(proxy.port),
            labels.STOP_TIMEOUT: str(stop_timeout_s),
        },
    )


def _routes(
    *, profile: Profile, target: Target, facts: ModelFacts, weights: Weights, template: Template, kind: str
) -> RouteTable:
    engine, model, identity = profile.engine, profile.model, profile.identity()
    table = RouteTable(
        revision=1,
        deployment=target.name,
        profile=target.profile_name,
        identity=identity,
        serving=Serving(
            # What really runs: `api/model` may say another name for a directory, and a branch moves.
            model_id=model.id or PurePath(model.path or identity.model).name,
            revision=weights.commit or model.revision,
            engine=kind,
            engine_version=engine.version,
            quantization=engine.quantization or facts.quantization,
            dtype=engine.dtype,
            kv_cache_dtype=engine.kv_cache_dtype,
            context_length=engine.context_length,
        ),
        template=template.model_copy(update={"prompt_format": PromptFormat(profile.proxy.prompt_format)}),
    )
    return proxy_settings(profile, target.secrets).on(table)
