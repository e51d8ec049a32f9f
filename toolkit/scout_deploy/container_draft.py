"""A user's wish as a plan: as far as it is known beforehand, and whole once images, weights and GPUs are there."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from scout_deploy.containers import labels
from scout_deploy.containers.deployment import ContainerDeployment
from scout_deploy.containers.plan import Placement, Target, plan_containers
from scout_deploy.engines.container_engine import ContainerEngine
from scout_deploy.fit.measured_start import Planned
from scout_deploy.gpu_placement import imagine
from scout_deploy.profile.profile import Profile
from scout_deploy.profile.proxy import Proxy
from scout_deploy.profile_lock.pins import Pins
from scout_deploy.proxy_image.context import build_context
from scout_deploy.proxy_secrets import ProxySecrets
from scout_deploy.served_model import ServedModel


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the user asked for.

    Args:
        profile: Resolved.
        profile_name: As the user named it.
        version: The product's.
        overrides: What was given with `--set`.
        secrets: What the profile's keys and variables hold.
        insists: Whether to start what the plan says cannot work.
        pins: What the start is held to.
    """

    profile: Profile
    profile_name: str
    name: str
    version: str
    start_timeout_s: float | None = None
    overrides: tuple[str, ...] = ()
    secrets: ProxySecrets = field(default=ProxySecrets(), repr=False)
    insists: bool = False
    pins: Pins = field(default=Pins())


def draft(wish: Wish, adapter: ContainerEngine, model: ServedModel, generation: int = 1) -> ContainerDeployment:
    """Plan for a box that has just the GPUs that the profile is for; images are named by their tags.

    Raises:
        ProfileError: A setting that nothing would honour, or that the engine would refuse.
    """
    own = wish.profile.proxy
    return planned(
        wish,
        adapter,
        model,
        imagine(wish.profile).placement,
        proxy_image=own.image or build_context(own.base_image).tag,
        engine_image=None,
        generation=generation,
    )


def refuse_what_cannot_work(wish: Wish, adapter: ContainerEngine, model: ServedModel) -> ContainerDeployment:
    """Plan the engines alone, for whoever is about to fetch gigabytes for them; the proxy's secrets are not needed.

    Raises:
        ProfileError: A setting that nothing would honour, or that the engine would refuse.
    """
    profile = wish.profile.model_copy(update={"proxy": Proxy()})
    placement = imagine(wish.profile).placement
    return planned(
        replace(wish, profile=profile), adapter, model, placement, proxy_image="", engine_image=None, generation=1
    )


def planned(
    wish: Wish,
    adapter: ContainerEngine,
    model: ServedModel,
    placement: Placement,
    *,
    proxy_image: str,
    engine_image: str | None,
    generation: int,
) -> ContainerDeployment:
    """Plan what really runs."""
    target = Target(
        name=wish.name,
        profile_name=wish.profile_name,
        version=wish.version,
        proxy_image=proxy_image,
        overrides=wish.overrides,
        engine_image=engine_image,
        generation=generation,
        start_timeout_s=wish.start_timeout_s,
        secrets=wish.secrets,
    )
    return plan_containers(
        wish.profile,
        target,
        adapter,
        facts=model.facts,
        weights=model.weights,
        template=model.template,
        placement=placement,
    )


def with_predictions(plan: ContainerDeployment, planned_starts: Sequence[Planned | None]) -> ContainerDeployment:
    """Label each engine with what was planned of its memory, which is true of this start alone.

    Args:
        planned_starts: One for each replica; None where nothing is known.
    """
    engines = list(plan.engines)
    for number, one in enumerate(planned_starts):
        if one is not None:
            setting = one.setting.model_copy(update={"commit": plan.weights.commit})
            text = one.model_copy(update={"setting": setting}).model_dump_json()
            own = engines[number].labels | {labels.PLANNED: text}
            engines[number] = engines[number].model_copy(update={"labels": own})
    return plan.model_copy(update={"engines": tuple(engines)})
