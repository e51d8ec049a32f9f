"""From a profile to a deployment: what exactly will run. Pure; what cannot work is refused here."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scout_deploy.deployment import PORT_PLACEHOLDER, DeploymentSpec, ProcessSpec
from scout_deploy.errors import DeployError, GpuUnavailableError, ProfileError
from scout_deploy.gguf.facts import GgufFacts
from scout_deploy.profile.profile import Profile
from scout_deploy.profile.proxy import Cache, Queue
from scout_proxy.route_table import Limits, PromptFormat, RouteTable, Serving, Template

DEFAULT_SLOTS = 8
_DEMONSTRATION_CONTEXT = 4096


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where and as what a deployment is to run.

    Args:
        name: The deployment's.
        profile_name: As the user named it.
        python: The interpreter that the product is installed in.
        routes: The file of the route table.
        start_timeout_s: Instead of the profile's.
        version: The product's, so that an upgrade is seen as a change.
    """

    name: str
    profile_name: str
    python: str
    routes: Path
    version: str
    start_timeout_s: float | None = None


def refuse_foreign_hardware(profile: Profile, profile_name: str, gpus: tuple[str, ...]) -> None:
    """Refuse a profile whose engine cannot run on this machine, before anything is read or started.

    Args:
        gpus: What the machine has, in words.

    Raises:
        GpuUnavailableError: It wants GPUs and there are none.
        DeployError: Its engine runs in containers, which this version does not start.
    """
    if profile.engine.kind != "tgi":
        return
    try_embedded = "scout-deploy up --profile embedded serves the same API on the CPU, with the demonstration model"
    hardware = profile.hardware
    if not gpus and not hardware.cpu_only:
        wanted = " ".join(
            part
            for part in (
                f"{hardware.gpu_count or len(hardware.gpu_ids or ()) or ''}",
                hardware.gpu_kind or "GPU",
                f"with {hardware.gpu_memory_gb:g} GB" if hardware.gpu_memory_gb else "",
            )
            if part
        )
        raise GpuUnavailableError(
            f"profile '{profile_name}' is for {wanted}; this machine has no GPU with a loaded driver",
            next_step=try_embedded,
        )
    raise DeployError(
        f"profile '{profile_name}' runs engine 'tgi' in containers; this version of scout-deploy starts only the "
        "embedded engine",
        next_step=try_embedded,
    )


def plan_embedded(profile: Profile, target: Target, model_file: Path, facts: GgufFacts) -> DeploymentSpec:
    """Plan a deployment of the embedded engine.

    Args:
        model_file: The GGUF file, absolute.
        facts: Read from its header.

    Raises:
        ProfileError: A setting that nothing would honour.
    """
    if problems := tuple(_refused(profile, facts)):
        raise ProfileError(
            f"profile '{target.profile_name}' asks for what this deployment would not do:\n" + "\n".join(problems)
        )
    identity = profile.identity()
    model_id = profile.model.id or facts.name or model_file.stem
    context = profile.engine.context_length or min(
        facts.context_length or _DEMONSTRATION_CONTEXT, _DEMONSTRATION_CONTEXT
    )
    routes = RouteTable(
        revision=1,
        deployment=target.name,
        profile=target.profile_name,
        identity=identity,
        serving=Serving(
            model_id=model_id,
            revision=profile.model.revision,
            engine="embedded",
            engine_version=target.version,
            quantization=facts.quantization,
            kv_cache_dtype=profile.engine.kv_cache_dtype,
            context_length=context,
        ),
        template=Template(
            prompt_format=PromptFormat(profile.proxy.prompt_format),
            chat_template=facts.chat_template,
            bos_token=facts.bos_token or "",
            eos_token=facts.eos_token or "",
            special_tokens=facts.special_tokens,
        ),
        limits=Limits.model_validate(profile.proxy.limits.model_dump()),
    )
    proxy = profile.proxy
    return DeploymentSpec(
        name=target.name,
        profile=target.profile_name,
        settings=_settings(profile, target.version),
        engine_kind="embedded",
        host=proxy.host,
        port=proxy.port,
        proxy=ProcessSpec(
            role="proxy",
            argv=_module(
                target, "scout_proxy", "--routes", target.routes, "--host", proxy.host, "--port", PORT_PLACEHOLDER
            ),
        ),
        engine=ProcessSpec(
            role="engine",
            argv=_module(target, "scout_engine", *_engine_options(profile, model_file, model_id, context)),
            environment=dict(profile.engine.environment),
        ),
        routes=routes,
        start_timeout_s=target.start_timeout_s or profile.startup.timeout_s,
    )


def ignored_settings(profile: Profile) -> tuple[str, ...]:
    """Name the settings that this version accepts and does not act on yet, one remark for each section."""
    sections = (
        ("proxy/cache", profile.proxy.cache == Cache(), "every answer is generated"),
        ("proxy/queue", profile.proxy.queue == Queue(), "requests beyond the engine's limit are answered with 429"),
    )
    return tuple(
        f"{name} has no effect in this version: {effect}" for name, is_default, effect in sections if not is_default
    )


def _refused(profile: Profile, facts: GgufFacts) -> Iterator[str]:
    keys, context = profile.proxy.keys, profile.engine.context_length
    if keys.file is not None or keys.variable is not None:
        # To ignore them would open an API whose owner believes it closed.
        yield "proxy/keys: this version has no API keys; leave them out and keep proxy/host on loopback"
    if profile.replicas != 1:
        yield f"replicas: got {profile.replicas}; the embedded engine runs once on a machine"
    if context is not None and facts.context_length is not None and context > facts.context_length:
        yield f"engine/context_length: got {context}; the model was made for at most {facts.context_length}"


def _module(target: Target, module: str, *options: object) -> tuple[str, ...]:
    # -P keeps the working directory out of the import path.
    return (target.python, "-P", "-m", module, *map(str, options))


def _engine_options(profile: Profile, model_file: Path, model_id: str, context: int) -> tuple[object, ...]:
    engine = profile.engine
    optional = {
        "--max-input-tokens": engine.max_input_tokens,
        "--kv-cache-dtype": engine.kv_cache_dtype,
        "--threads": engine.threads,
    }
    return (
        *("--model", model_file, "--model-id", model_id, "--host", "127.0.0.1", "--port", PORT_PLACEHOLDER),
        *("--slots", engine.slots or DEFAULT_SLOTS, "--context", context),
        *("--max-concurrent-requests", engine.max_concurrent_requests),
        # The same text escaped as JSON can be six times as long, and it must not be the engine that refuses it.
        *("--payload-limit", profile.proxy.limits.max_body_bytes * 6 + 65_536),
        *(part for option, value in optional.items() if value is not None for part in (option, value)),
    )


def _settings(profile: Profile, version: str) -> dict[str, str]:
    flat = {"scout-deploy/version": version}

    def add(prefix: str, value: object) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                add(f"{prefix}/{key}" if prefix else key, inner)
        elif value is not None:
            flat[prefix] = str(value)

    add("", profile.model_dump(mode="json", exclude={"description"}))
    return flat
