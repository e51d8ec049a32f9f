"""The labels that say what is deployed: whoever reads them needs no file of the operator's. Never a secret."""

import json
from collections.abc import Mapping, Sequence

DEPLOYMENT = "scout.deployment"
ROLE = "scout.role"
REPLICA = "scout.replica"
GENERATION = "scout.generation"
PROFILE = "scout.profile"
VERSION = "scout.version"
ENGINE = "scout.engine"
IMAGE = "scout.image"
MODEL = "scout.model"
COMMIT = "scout.commit"
GPUS = "scout.gpus"
SETTINGS = "scout.settings"
OVERRIDES = "scout.overrides"
CONFIG = "scout.config"
HOST = "scout.host"
PORT = "scout.port"
STOP_TIMEOUT = "scout.stop_timeout_s"
TEMPORARY = "scout.temporary"
PLANNED = "scout.planned"

WEIGHTS = "weights"
"""The role of the volume that has the weights of every deployment of a Docker host."""


def of_deployment(name: str) -> str:
    """Return the filter that finds everything of one deployment."""
    return f"{DEPLOYMENT}={name}"


def write_settings(settings: Mapping[str, str]) -> str:
    """Return a flattened profile as one label."""
    return json.dumps(dict(settings), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def read_settings(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the flattened profile of a container; empty where its label is missing or not ours."""
    try:
        settings = json.loads(labels.get(SETTINGS, "{}"))
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in settings.items()} if isinstance(settings, dict) else {}


def write_overrides(overrides: Sequence[str]) -> str:
    """Return what was given with `--set`, as one label."""
    return json.dumps(list(overrides), ensure_ascii=False, separators=(",", ":"))


def read_overrides(labels: Mapping[str, str]) -> tuple[str, ...]:
    """Return what was given with `--set`; nothing where the label is missing or not ours."""
    try:
        overrides = json.loads(labels.get(OVERRIDES, "[]"))
    except ValueError:
        return ()
    return tuple(map(str, overrides)) if isinstance(overrides, list) else ()


def read_gpus(labels: Mapping[str, str]) -> tuple[int, ...]:
    """Return the GPUs that a container has, by the driver's index."""
    return tuple(int(one) for one in labels.get(GPUS, "").split(",") if one.isdecimal())


def read_number(texts: Mapping[str, str], key: str, default: int) -> int:
    """Return a whole number of a container's labels or settings; the default where it is missing or not ours."""
    text = texts.get(key, "")
    return int(text) if text.isdecimal() else default
