"""From a profile to a deployment: what exactly will run. Pure; what cannot work is refused here."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from scout_deploy.deployment import PORT_PLACEHOLDER, DeploymentSpec, ProcessSpec
from scout_deploy.errors import ProfileError
from scout_deploy.gguf.facts import GgufFacts
from scout_deploy.profile.profile import Profile
from scout_deploy.profile.settings import flatten_settings
from scout_deploy.proxy_options import proxy_options
from scout_deploy.proxy_secrets import ProxySecrets
from scout_deploy.proxy_settings import proxy_settings
from scout_proxy.route_table import PromptFormat, RouteTable, Serving, Template

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
        secrets: What the profile's keys and variables hold.
    """

    name: str
    profile_name: str
    python: str
    routes: Path
    version: str
    start_timeout_s: float | None = None
    secrets: ProxySecrets = field(default=ProxySecrets(), repr=False)


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
    context = profile.engine.context_length or default_context(facts)
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
    )
    proxy = profile.proxy
    return DeploymentSpec(
        name=target.name,
        profile=target.profile_name,
        settings=flatten_settings(profile, target.version),
        engine_kind="embedded",
        host=proxy.host,
        port=proxy.port,
        proxy=ProcessSpec(
            role="proxy",
            argv=_module(
                target,
                "scout_proxy",
                *("--routes", target.routes, "--host", proxy.host, "--port", PORT_PLACEHOLDER),
                *proxy_options(proxy),
            ),
        ),
        engine=ProcessSpec(
            role="engine",
            argv=_module(target, "scout_engine", *_engine_options(profile, model_file, model_id, context)),
            environment=dict(profile.engine.environment),
        ),
        routes=proxy_settings(profile, target.secrets).on(routes),
        start_timeout_s=target.start_timeout_s or profile.startup.timeout_s,
    )


def default_context(facts: GgufFacts) -> int:
    """Return the tokens of one sequence where the profile does not say them."""
    return min(facts.context_length or _DEMONSTRATION_CONTEXT, _DEMONSTRATION_CONTEXT)


def _refused(profile: Profile, facts: GgufFacts) -> Iterator[str]:
    context = profile.engine.context_length
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
