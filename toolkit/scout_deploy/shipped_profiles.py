"""The profiles that ship with the product, read for a refusal that names one which works."""

from scout_deploy.engines.tgi.nearest import Shipped
from scout_deploy.known_models import known_facts
from scout_deploy.model_facts import ModelFacts
from scout_deploy.profile.catalogue import profile_files, shipped_profiles_dir
from scout_deploy.profile.loader import load_profile


def shipped_for_tgi() -> tuple[Shipped, ...]:
    """Return the shipped profiles that run TGI, sorted by name, with what is recorded of their models."""
    directories = (shipped_profiles_dir(),)
    loaded = [load_profile(name, environment={}, directories=directories) for name in profile_files(directories)]
    return tuple(
        Shipped(name=one.name, profile=one.profile, facts=known_facts(one.profile.model.id) or ModelFacts())
        for one in loaded
        if one.profile.engine.kind == "tgi"
    )
