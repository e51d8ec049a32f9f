"""What a lock says of a model that lies on this machine as files of the user's."""

import hashlib
from pathlib import Path

from scout_deploy.errors import ModelFileError
from scout_deploy.profile_lock.document import LockedModel


def model_of_file(path: Path) -> LockedModel:
    """Return a single file's size and SHA-256, for which it is read once.

    Raises:
        ModelFileError: It cannot be read.
    """
    try:
        with path.open("rb") as contents:
            digest = hashlib.file_digest(contents, "sha256").hexdigest()
        return LockedModel(files={path.name: path.stat().st_size}, sha256=digest)
    except OSError as exc:
        raise _unreadable(path, exc) from exc


def model_of_folder(path: Path) -> LockedModel:
    """Return the sizes of a directory's files; hundreds of gigabytes are not read for a checksum.

    Raises:
        ModelFileError: It cannot be read.
    """
    try:
        return LockedModel(files={one.name: one.stat().st_size for one in sorted(path.iterdir()) if one.is_file()})
    except OSError as exc:
        raise _unreadable(path, exc) from exc


def _unreadable(path: Path, error: OSError) -> ModelFileError:
    return ModelFileError(
        f"model/path: {path} cannot be read: {error.strerror or error}",
        next_step="correct model/path, or its permissions",
    )
