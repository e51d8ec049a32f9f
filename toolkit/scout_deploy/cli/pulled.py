"""What a pull of weights brings, and where it brings it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scout_deploy.cli.context import container_runtime
from scout_deploy.cli.up_containers import preparation
from scout_deploy.cli.weights_source import weights_source
from scout_deploy.container_draft import Wish, refuse_what_cannot_work
from scout_deploy.engines.catalogue import container_engine_for
from scout_deploy.model_sources import ModelSource
from scout_deploy.progress import Tell
from scout_deploy.runtimes.docker_engine import DockerEngine, daemon_address
from scout_deploy.served_model import ServedModel
from scout_deploy.weights.repository import DEFAULT_REVISION


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """Weights that are there now.

    Args:
        model: Its id on the hub, or the name of its directory.
        revision: What was asked for; None for a directory.
        commit: None for a directory.
        is_locked: Whether the profile's lock says the commit.
        path: Where they are on `host`; a volume's name where that is another machine.
        host: The Docker host's address where it is another machine.
        files: How many; None where that is another machine.
        size_bytes: Of all of them.
    """

    model: str
    revision: str | None
    commit: str | None
    path: str
    is_locked: bool = False
    host: str | None = None
    files: int | None = None
    size_bytes: int | None = None


def pull_weights(wish: Wish, tell: Tell, environment: Mapping[str, str]) -> Pulled:
    """Fetch what is missing of a wish's weights to where `up` would have them.

    Raises:
        DeployError: They cannot be had, or the engine would refuse the profile.
    """
    address = daemon_address(environment)
    if address.is_local:
        source = weights_source(wish, lambda: DockerEngine.connect(environment), is_local=True, ask_hub=True)
        return _here(wish, _provide(wish, source, tell))
    runtime = container_runtime()
    try:
        prepared = preparation(runtime, wish)
        refuse_what_cannot_work(wish, prepared.adapter, prepared.model.expect())
        served = prepared.fetch(tell)
    finally:
        runtime.engine.close()
    return Pulled(
        model=str(wish.profile.model.id),
        revision=wish.profile.model.revision or DEFAULT_REVISION,
        commit=served.weights.commit,
        path=f"volume {served.weights.mount.source}",
        is_locked=wish.pins.lock is not None,
        host=address.url,
    )


def _provide(wish: Wish, source: ModelSource, tell: Tell) -> ServedModel:
    refuse_what_cannot_work(wish, container_engine_for(wish.profile.engine.kind), source.expect())
    return source.provide(tell)


def _here(wish: Wish, served: ServedModel) -> Pulled:
    model, commit = wish.profile.model, served.weights.commit
    mounted = Path(served.weights.mount.source or "")
    folder = mounted if commit is None else mounted / "snapshots" / commit
    sizes = [path.stat().st_size for path in folder.iterdir() if path.is_file()]
    return Pulled(
        model=model.id or folder.name,
        revision=None if commit is None else model.revision or DEFAULT_REVISION,
        commit=commit,
        path=str(folder),
        is_locked=wish.pins.lock is not None,
        files=len(sizes),
        size_bytes=sum(sizes),
    )
