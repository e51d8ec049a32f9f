"""Where a profile's model comes from: a directory, this machine's hub cache, or a volume of another Docker host."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from scout_deploy.containers.deployment import WEIGHTS_FOLDER, Weights
from scout_deploy.containers.spec import Mount
from scout_deploy.errors import DeployError, ModelFileError
from scout_deploy.fit.shape import absurd_number
from scout_deploy.known_models import known_facts
from scout_deploy.model_facts import ModelFacts, facts_of_config
from scout_deploy.model_files import facts_of_files, own_code, template_of_files
from scout_deploy.profile.profile import Profile
from scout_deploy.progress import Tell
from scout_deploy.served_model import ServedModel, model_in_folder, reader
from scout_deploy.weights.failures import HubUnreachableError
from scout_deploy.weights.obtain import obtain
from scout_deploy.weights.place import relative_snapshot, repository_folder_name
from scout_deploy.weights.repository import DEFAULT_REVISION
from scout_deploy.weights.soundness import check_snapshot
from scout_deploy.weights_meter import FETCH, UNRESOLVED, Meter
from scout_proxy.route_table import Template

if TYPE_CHECKING:
    # Its library takes a quarter of the start of a command that may not need it.
    from scout_deploy.hub import Hub


class ModelSource(Protocol):
    """Where a profile's model comes from."""

    def expect(self) -> ServedModel:
        """Return what is known of the model before its weights are fetched.

        Raises:
            DeployError: It cannot be had.
        """
        ...

    def provide(self, tell: Tell) -> ServedModel:
        """Fetch what is missing and return the model.

        Raises:
            DeployError: It cannot be had.
        """
        ...


@dataclass(frozen=True)
class FolderSource:
    """A directory of the user's own."""

    path: Path

    def expect(self) -> ServedModel:
        """See `ModelSource.expect`."""
        return model_in_folder(self.path)

    def provide(self, tell: Tell) -> ServedModel:
        """See `ModelSource.provide`: nothing is fetched.

        Raises:
            WeightsError: A shard is missing, or a file cannot be read.
        """
        tell(FETCH, f"{self.path}, as it is")
        model = model_in_folder(self.path)
        check_snapshot(self.path)
        return model


@dataclass(frozen=True, kw_only=True)
class CacheSource:
    """A repository of the hub, in huggingface_hub's cache on this machine, which is the Docker host too.

    Args:
        ask_hub: Whether the hub may be asked before the fetch; else only what is on this disk, or was recorded, counts.
    """

    model_id: str
    revision: str
    cache: Path
    hub: Callable[[], "Hub"]
    ask_hub: bool

    def expect(self) -> ServedModel:
        """See `ModelSource.expect`."""
        hub = self.hub()
        snapshot = hub.find_cached(self.model_id, self.revision)
        if snapshot is not None:
            return self._served(snapshot)
        return ServedModel(
            weights=self._weights(UNRESOLVED),
            facts=expected_facts(hub, self.model_id, self.revision, ask_hub=self.ask_hub),
            template=Template(),
        )

    def provide(self, tell: Tell) -> ServedModel:
        """See `ModelSource.provide`: what is on this disk is taken, the rest comes from the hub."""
        hub = self.hub()
        tell(FETCH, self.model_id)
        snapshot = obtain(hub, self.model_id, self.revision, Meter(tell).show)
        if code := own_code(reader(snapshot)):
            tell(
                "note",
                f"{self.model_id} names code of its own ({', '.join(code)}), which is neither fetched nor run: the "
                "engine has to know this architecture by itself",
            )
        return self._served(snapshot)

    def _served(self, snapshot: Path) -> ServedModel:
        read = reader(snapshot)
        return ServedModel(
            weights=self._weights(snapshot.name), facts=facts_of_files(read), template=template_of_files(read)
        )

    def _weights(self, commit: str) -> Weights:
        folder = repository_folder_name(self.model_id)
        # The repository's folder whole: a snapshot's files are links into its `blobs`.
        mount = Mount(kind="bind", source=str(self.cache / folder), target=f"{WEIGHTS_FOLDER}/{folder}", read_only=True)
        path = f"{WEIGHTS_FOLDER}/{relative_snapshot(self.model_id, commit)}"
        return Weights(mount=mount, path=path, commit=None if commit == UNRESOLVED else commit)


def expected_facts(hub: "Hub", model_id: str, revision: str, *, ask_hub: bool) -> ModelFacts:
    """Return the facts of a model whose weights are not here: from its published config, else as recorded with us.

    Raises:
        DeployError: There is no such model, or its config has numbers that no model can have.
    """
    if ask_hub:
        # The download will say what is wrong with the network.
        with contextlib.suppress(HubUnreachableError):
            config = hub.read_config(model_id, revision)
            if (problem := absurd_number(config)) is not None:
                raise ModelFileError(
                    f"no engine can load {model_id}: its {problem}",
                    next_step="choose another revision or checkpoint, and tell its owners",
                )
            return facts_of_config(config)
    return known_facts(model_id) or ModelFacts()


def model_source(
    profile: Profile,
    *,
    is_local: bool,
    cache: Path,
    hub: Callable[[], "Hub"],
    ask_hub: bool,
    remote: Callable[[str, str], ModelSource],
) -> ModelSource:
    """Return where the profile's model comes from.

    Args:
        is_local: Whether the Docker host is this machine.
        ask_hub: Whether the hub may be asked before anything is fetched.
        remote: Makes the source of a repository on another Docker host, from its id and revision.

    Raises:
        DeployError: A directory is named, and the Docker host is another machine.
    """
    model = profile.model
    if model.path is not None:
        if not is_local:
            raise DeployError(
                f"model/path: {model.path} is a directory of this machine, and the Docker host is another one",
                next_step="name model/id, whose weights are fetched on the Docker host, or run scout-deploy there",
            )
        return FolderSource(Path(model.path))
    model_id, revision = model.id or "", model.revision or DEFAULT_REVISION
    if not is_local:
        return remote(model_id, revision)
    return CacheSource(model_id=model_id, revision=revision, cache=cache, hub=hub, ask_hub=ask_hub)
