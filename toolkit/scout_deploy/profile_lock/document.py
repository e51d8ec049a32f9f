"""A lock as a file of JSON, meant to be kept under version control beside its profile."""

import contextlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scout_deploy.errors import ProfileError


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LockedImage(_Frozen):
    """What an image's name meant.

    Args:
        digest: `repository@sha256:...`; the image's id where it was built or loaded and has no digest.
        id: Of the image on the Docker host; None where it was not there.
    """

    reference: str
    digest: str
    id: str | None = None


class LockedModel(_Frozen):
    """What the model was.

    Args:
        commit: Of the hub's repository; None for a file or directory.
        files: Sizes in bytes by name, of a file or directory of the user's.
        sha256: Of a single file.
        checksums: SHA-256 by name, of those files of a directory of which it is known or quickly computed.
    """

    commit: str | None = None
    files: dict[str, int] = Field(default_factory=dict)
    sha256: str | None = None
    checksums: dict[str, str] = Field(default_factory=dict)


class ProfileLock(_Frozen):
    """Everything that decides what an engine answers.

    Args:
        settings: The engine's part of the resolved profile, flattened, and the product's version.
    """

    format: Literal[1] = 1
    profile: str
    model: LockedModel
    image: LockedImage | None = None
    settings: dict[str, str]


def read_lock(path: Path) -> ProfileLock | None:
    """Return the lock in a file; None where there is no file.

    Raises:
        ProfileError: It cannot be read, or is not a lock.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        raise ProfileError(
            f"{path} cannot be read: {exc}", next_step=f"give this user the file, or remove {path}"
        ) from exc
    try:
        return ProfileLock.model_validate_json(text)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = "/".join(map(str, first["loc"]))
        raise ProfileError(
            f"{path} is not a lock of this version: {where + ': ' if where else ''}{first['msg']}",
            next_step="scout-deploy lock --profile NAME writes it anew",
        ) from exc


def write_lock(path: Path, lock: ProfileLock) -> None:
    """Write a lock, whole or not at all.

    Raises:
        ProfileError: The folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(f"{lock.model_dump_json(indent=2, exclude_none=True)}\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as exc:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise ProfileError(
            f"the lock {path} cannot be written: {exc.strerror or exc}",
            next_step="give this user the folder, or copy the profile into one of yours",
        ) from exc
