"""Where weights lie on a machine: huggingface_hub's own cache, so that what the user has already is used.

The layout is documented at https://huggingface.co/docs/huggingface_hub/guides/manage-cache: a folder for each
repository, its contents by ETag under `blobs`, and under `snapshots` a folder of relative links for each commit.
"""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from scout_deploy.errors import WeightsError

_COMMIT = re.compile(r"[0-9a-f]{40}")


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder that huggingface_hub would use under this environment.

    Raises:
        WeightsError: It would lie in the home directory, and this user has none.
    """
    named = environment.get("HF_HUB_CACHE") or environment.get("HUGGINGFACE_HUB_CACHE")
    if named:
        return _expanded(named, environment)
    if home := environment.get("HF_HOME"):
        return _expanded(home, environment) / "hub"
    caches = environment.get("XDG_CACHE_HOME") or "~/.cache"
    return _expanded(caches, environment) / "huggingface" / "hub"


def is_commit(revision: str) -> bool:
    """Whether this names a commit in full, which no branch or tag can move."""
    return _COMMIT.fullmatch(revision) is not None


def repository_folder_name(model_id: str) -> str:
    """Return the name of a repository's folder in the cache."""
    return f"models--{model_id.replace('/', '--')}"


def relative_snapshot(model_id: str, commit: str) -> PurePosixPath:
    """Return where a snapshot lies below the cache folder, wherever that is mounted.

    Its files are relative links out of it, into `blobs` beside `snapshots`: mount the cache, never the snapshot alone.
    """
    return PurePosixPath(repository_folder_name(model_id), "snapshots", commit)


def _expanded(value: str, environment: Mapping[str, str]) -> Path:
    text = re.sub(
        r"\$(?:\{(?P<braced>\w+)\}|(?P<plain>\w+))",
        lambda found: environment.get(found["braced"] or found["plain"], found[0]),
        value,
    )
    if text == "~" or text.startswith("~/"):
        text = f"{_home(environment)}{text[1:]}"
    return Path(text).absolute()


def _home(environment: Mapping[str, str]) -> Path:
    if (home := Path(environment.get("HOME", ""))).is_absolute():
        return home
    try:
        return Path.home()
    except RuntimeError as exc:
        raise WeightsError(
            "this user has no home directory to keep weights in: HOME is not set",
            next_step="set HOME, or HF_HUB_CACHE to the folder for weights",
        ) from exc
