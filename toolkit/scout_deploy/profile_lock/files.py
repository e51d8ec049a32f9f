"""What a lock says of a model that lies on this machine as files of the user's."""

import hashlib
import re
from pathlib import Path

from scout_deploy.errors import ModelFileError
from scout_deploy.profile_lock.document import LockedModel

# Configuration, tokenizer and templates are below it, and decide what an engine answers as much as weights do.
_MOST_HASHED_BYTES = 64_000_000
_SHA256 = re.compile(r"[0-9a-f]{64}")


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
    """Return the sizes of a directory's files, and checksums of those that are not large.

    Hundreds of gigabytes are not read for a checksum. In huggingface_hub's cache they need not be: the file that a link
    leads to is named by it, as it was when it was fetched.

    Raises:
        ModelFileError: It cannot be read.
    """
    try:
        files = {one.name: one for one in sorted(path.iterdir()) if one.is_file()}
        sizes = {name: one.stat().st_size for name, one in files.items()}
        checksums = {name: checksum for name, one in files.items() if (checksum := _checksum(one, sizes[name]))}
        return LockedModel(files=sizes, checksums=checksums)
    except OSError as exc:
        raise _unreadable(path, exc) from exc


def _checksum(path: Path, size_bytes: int) -> str | None:
    if size_bytes <= _MOST_HASHED_BYTES:
        with path.open("rb") as contents:
            return hashlib.file_digest(contents, "sha256").hexdigest()
    blob = path.resolve().name
    return blob if path.is_symlink() and _SHA256.fullmatch(blob) else None


def _unreadable(path: Path, error: OSError) -> ModelFileError:
    return ModelFileError(
        f"model/path: {path} cannot be read: {error.strerror or error}",
        next_step="correct model/path, or its permissions",
    )
