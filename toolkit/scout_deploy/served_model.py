"""The model that a deployment of containers serves: where its weights are, and what its files say."""

from dataclasses import dataclass
from pathlib import Path

from scout_deploy.containers.deployment import WEIGHTS_FOLDER, Weights
from scout_deploy.containers.spec import Mount
from scout_deploy.errors import ModelFileError
from scout_deploy.model_facts import ModelFacts
from scout_deploy.model_files import ReadFile, facts_of_files, template_of_files
from scout_proxy.route_table import Template

_CONFIG = "config.json"


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """Everything that a plan needs of it."""

    weights: Weights
    facts: ModelFacts
    template: Template


def model_in_folder(path: Path) -> ServedModel:
    """Return the model of a directory on this machine, which is the Docker host too.

    Raises:
        ModelFileError: It is not there, not a directory, or has no `config.json`.
    """
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise ModelFileError(
            f"model/path: {path} {what}; an engine in a container is given a directory with its config.json",
            next_step="name the directory, or use the profile 'cpu-gguf' for a GGUF file",
        )
    if not (path / _CONFIG).is_file():
        raise ModelFileError(
            f"model/path: {path} has no {_CONFIG}, so it is not the directory of a model",
            next_step="name the directory that holds config.json beside the weights",
        )
    return ServedModel(
        weights=Weights(
            mount=Mount(kind="bind", source=str(path), target=f"{WEIGHTS_FOLDER}/{path.name}", read_only=True),
            path=f"{WEIGHTS_FOLDER}/{path.name}",
        ),
        facts=facts_of_files(reader(path)),
        template=template_of_files(reader(path)),
    )


def reader(folder: Path) -> ReadFile:
    """Return a function that reads a file of this directory, None where it cannot be read."""

    def read(name: str) -> bytes | None:
        try:
            return (folder / name).read_bytes()
        except OSError:
            return None

    return read
