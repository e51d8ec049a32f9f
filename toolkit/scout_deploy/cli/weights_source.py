"""Where a wish's weights come from: `up` and `pull` take them the same way."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from scout_deploy.container_draft import Wish
from scout_deploy.errors import WeightsError
from scout_deploy.known_models import known_facts
from scout_deploy.model_facts import ModelFacts
from scout_deploy.model_sources import ModelSource, model_source
from scout_deploy.proxy_image.context import build_context
from scout_deploy.runtimes.docker_engine import DockerEngine
from scout_deploy.runtimes.remote_weights import VolumeSource
from scout_deploy.weights.place import cache_folder

if TYPE_CHECKING:
    from scout_deploy.hub import Hub

# What a download on another machine is told of this one's environment; none of them holds a secret.
_HUB_VARIABLES = ("HF_ENDPOINT",)


def weights_source(wish: Wish, connect: Callable[[], DockerEngine], *, is_local: bool, ask_hub: bool) -> ModelSource:
    """Return where the wish's weights come from; see `model_source`.

    Args:
        connect: Gives the daemon where it is another machine's.
    """
    return model_source(
        wish.pins.on(wish.profile),
        is_local=is_local,
        cache=cache_folder(os.environ),
        hub=own_hub,
        ask_hub=ask_hub,
        remote=partial(_remote, connect, wish),
    )


def own_hub() -> "Hub":
    """Return the hub as this user's environment says: cache, endpoint, token."""
    from scout_deploy.hub import Hub, find_token

    return Hub(cache=cache_folder(os.environ), token=find_token())


def _remote(connect: Callable[[], DockerEngine], wish: Wish, model_id: str, revision: str) -> ModelSource:
    from scout_deploy.hub import find_token

    own = wish.profile.proxy
    return VolumeSource(
        deployment=wish.name,
        connect=connect,
        image=own.image or build_context(own.base_image).tag,
        model_id=model_id,
        revision=revision,
        facts=known_facts(model_id) or ModelFacts(),
        token=find_token(),
        environment=_hub_environment(os.environ),
    )


def _hub_environment(environment: Mapping[str, str]) -> dict[str, str]:
    chosen = {name: environment[name] for name in _HUB_VARIABLES if environment.get(name)}
    if secret := next((name for name, value in chosen.items() if urlsplit(value).password), None):
        raise WeightsError(
            f"{secret} holds a password, which whoever may inspect the download container could read",
            next_step="fetch the weights on the Docker host itself, or use an endpoint without one",
        )
    return chosen
