"""Requests to the TGI adapter, made of a shipped profile or a few keys."""

from collections.abc import Mapping

from scout_deploy.engines.container_engine import Accelerator, EngineRequest
from scout_deploy.known_models import known_facts
from scout_deploy.model_facts import ModelFacts
from scout_deploy.profile.catalogue import shipped_profiles_dir
from scout_deploy.profile.loader import load_profile
from scout_deploy.profile.profile import Profile

LLAMA = ModelFacts(architecture="llama", attention_heads=32, kv_heads=8, max_position_embeddings=131_072)


def shipped_profile(name: str, **overrides: str) -> Profile:
    """Return a shipped profile; `engine__dtype="float16"` sets `engine.dtype`."""
    dotted = {key.replace("__", "."): value for key, value in overrides.items()}
    return load_profile(name, environment={}, overrides=dotted, directories=(shipped_profiles_dir(),)).profile


def tgi_profile(engine: Mapping[str, object] | None = None, *, gpus: int | None = 1) -> Profile:
    """Return a profile for TGI with these keys of `engine`, on so many GPUs or, with None, on a CPU."""
    hardware: dict[str, object] = {"cpu_only": True} if gpus is None else {"gpu_count": gpus}
    return Profile.model_validate(
        {
            "model": {"id": "someone/something"},
            "engine": {"kind": "tgi", "version": "3.3.7", **(engine or {})},
            "hardware": hardware,
        }
    )


def tgi_request(
    profile: Profile, facts: ModelFacts | None = None, *, accelerator: Accelerator = "nvidia"
) -> EngineRequest:
    """Return the request of a profile; without facts those that are recorded of its model."""
    return EngineRequest(
        profile=profile,
        facts=facts or known_facts(profile.model.id) or ModelFacts(),
        accelerator=accelerator,
        shards=profile.hardware.gpu_count or 1,
        weights_path="/weights/model",
        payload_limit_bytes=12_065_536,
    )
