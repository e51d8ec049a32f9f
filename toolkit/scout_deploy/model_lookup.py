"""What a profile's model is, tensors included, from wherever that can be read without its weights."""

import contextlib
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scout_deploy.errors import ModelFileError
from scout_deploy.fit.model import FitModel, model_of, model_of_record, record_of
from scout_deploy.fit.tensor import Tensor, UnusableFactsError, header_length, read_header
from scout_deploy.known_models import known_model
from scout_deploy.profile.engine import Model
from scout_deploy.weights.failures import HubUnreachableError
from scout_deploy.weights.files import needed_files
from scout_deploy.weights.place import is_commit
from scout_deploy.weights.repository import DEFAULT_REVISION, Revision
from scout_deploy.weights.soundness import INDEX_SUFFIX, check_index

if TYPE_CHECKING:
    # Its library takes a quarter of the start of a command that may not need it.
    from scout_deploy.hub import Hub

_CONFIG = "config.json"
_INDEX = "model.safetensors.index.json"
_AT_ONCE = 8
_FIRST_BYTES = 8
_ENDING = ".safetensors"


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """What the hub told earlier, and of which commit; None where an older version did not write that down."""

    model: FitModel
    commit: str | None


@dataclass(frozen=True, kw_only=True)
class ModelLookup:
    """Looks models up.

    Args:
        cache: Folder for what the hub told; need not exist, and nothing is lost with it.
        hub: Connects to the hub; called only where it is needed.
        ask_hub: Whether the hub may be asked; else only what is on this disk, or was recorded, counts.
    """

    cache: Path
    hub: Callable[[], "Hub"]
    ask_hub: bool = True

    def find(self, model: Model) -> FitModel | None:
        """Return the model; None where nobody may be asked and nothing is known.

        What is nearest counts: the weights' own files, what is recorded with the product, what the hub told earlier,
        and the hub itself, whose answer is kept. A branch or tag may have moved, so the hub is asked which commit it
        is now, as a start does; where nobody answers, it is what it was when it was last seen.

        Raises:
            DeployError: There is no such model, it cannot be read, or the hub cannot be asked.
        """
        try:
            if model.path is not None:
                return model_in(Path(model.path), name=model.id or Path(model.path).name)
            return None if model.id is None else self._by_id(model.id, model.revision)
        except UnusableFactsError as exc:
            raise _unusable(model.id or model.path or "the model", exc) from exc

    def _by_id(self, model_id: str, revision: str | None) -> FitModel | None:
        hub = self.hub()
        name = revision or DEFAULT_REVISION
        recorded = known_model(model_id) if revision is None else None
        if recorded is not None or not self.ask_hub or is_commit(name):
            known = self._seen(hub, model_id, name) or recorded
            return known if known is not None or not self.ask_hub else self._ask(hub, hub.resolve(model_id, name))
        try:
            now = hub.resolve(model_id, name)
        except HubUnreachableError:
            if (seen := self._seen(hub, model_id, name)) is None:
                raise
            return replace(seen, source=f"{seen.source}; the hub does not answer, so that '{name}' may have moved")
        if (snapshot := hub.find_cached(model_id, now.commit)) is not None:
            return model_in(snapshot, name=model_id)
        kept = self._kept(model_id, name)
        return kept.model if kept is not None and kept.commit == now.commit else self._ask(hub, now)

    def _seen(self, hub: "Hub", model_id: str, revision: str) -> FitModel | None:
        snapshot = hub.find_cached(model_id, revision)
        if snapshot is not None:
            return model_in(snapshot, name=model_id)
        kept = self._kept(model_id, revision)
        return None if kept is None else kept.model

    def _kept(self, model_id: str, revision: str) -> _Kept | None:
        try:
            record = json.loads(self._place(model_id, revision).read_bytes())
            model = model_of_record(record, f"{record.get('source')}, seen earlier")
            return _Kept(model=model, commit=record.get("commit"))
        except (OSError, ValueError, AttributeError, UnusableFactsError):
            # Of an older version, or cut short by a full disk: it is asked for again.
            return None

    def _place(self, model_id: str, revision: str) -> Path:
        return self.cache / "models" / f"{_file_name(model_id, revision)}.json"

    def _ask(self, hub: "Hub", now: Revision) -> FitModel:
        model_id = now.model_id
        needed = needed_files(model_id, now.files, with_code=False)
        files = [one for one in needed if one.path.endswith(_ENDING)]
        config = hub.read_config(model_id, now.commit)
        for index in (one for one in needed if one.path.endswith(INDEX_SUFFIX)):
            # A shard that is not there would be missing in the sum.
            check_index(hub.fetch_small(now, index.path), {one.path for one in files})
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            headers = list(pool.map(lambda file: hub.read_tensors(now, file), files))
        tensors = tuple(tensor for header in headers for tensor in header)
        found = model_of(model_id, config, tensors, f"the hub's headers at commit {now.commit[:12]}")
        record = {**record_of(model_id, config, tensors), "source": found.source, "commit": now.commit}
        _keep(self._place(model_id, now.name), record)
        return found


def model_in(folder: Path, *, name: str) -> FitModel:
    """Return the model in a directory of safetensors files, of which the headers alone are read.

    Raises:
        UnusableFactsError: A file is damaged, or the config absurd.
        ModelFileError: It is not there, or holds no such files, or not all that its index names.
    """
    try:
        config = json.loads((folder / _CONFIG).read_bytes())
    except (OSError, ValueError, RecursionError) as exc:
        raise ModelFileError(f"{folder / _CONFIG} cannot be read: {exc}", next_step="name a model's directory") from exc
    if not isinstance(config, dict):
        raise UnusableFactsError(f"{_CONFIG} is no JSON object")
    tensors = tuple(tensor for path in _weight_files(folder) for tensor in _tensors(path))
    return model_of(name, config, tensors, f"the files in {folder}")


def _weight_files(folder: Path) -> Sequence[Path]:
    index = folder / _INDEX
    if index.is_file():
        names = set(_weight_map(index).values())
        missing = sorted(name for name in names if not (folder / name).is_file())
        if missing:
            raise ModelFileError(
                f"{index} names {len(missing)} files that are not there, such as {missing[0]}",
                next_step="fetch the missing files, or name the directory that has them",
            )
        return sorted(folder / name for name in names)
    found = sorted(folder.glob(f"*{_ENDING}"))
    # `consolidated` is the layout of the model's authors, beside which the same weights lie in the usual one.
    usual = [path for path in found if not path.name.startswith(("consolidated", "adapter"))]
    if not found:
        raise ModelFileError(
            f"{folder} holds no {_ENDING} file, so nobody can tell how large its tensors are",
            next_step="name a directory with safetensors weights",
        )
    return usual or found


def _weight_map(index: Path) -> dict[str, str]:
    try:
        names = json.loads(index.read_bytes())["weight_map"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as exc:
        raise UnusableFactsError(f"{index.name} names no files: {exc}") from exc
    is_map = isinstance(names, dict) and all(isinstance(name, str) and "/" not in name for name in names.values())
    if not is_map:
        raise UnusableFactsError(f"{index.name} names no files of this folder")
    return dict(names)


def _tensors(path: Path) -> tuple[Tensor, ...]:
    try:
        with path.open("rb") as file:
            start = file.read(_FIRST_BYTES)
            return read_header(start + file.read(header_length(start, file=path.name)), file=path.name)
    except OSError as exc:
        raise ModelFileError(f"{path} cannot be read: {exc.strerror}", next_step="give this user the file") from exc


def _file_name(model_id: str, revision: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "--", f"{model_id}@{revision}")


def _keep(place: Path, record: dict[str, Any]) -> None:
    # A cache that cannot be written costs another question next time, and no plan.
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        with _new_file(place) as path:
            path.write_text(json.dumps(record), encoding="utf-8")
            path.replace(place)


@contextlib.contextmanager
def _new_file(place: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        yield Path(folder) / place.name


def _unusable(what: str, exc: UnusableFactsError) -> ModelFileError:
    return ModelFileError(
        f"what {what} says of itself cannot be planned with: {exc}",
        next_step="look whether its download is whole, or choose another checkpoint",
    )
