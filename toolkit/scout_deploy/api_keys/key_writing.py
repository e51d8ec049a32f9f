"""Adds a key to the operator's file of keys."""

import os
from pathlib import Path

from scout_deploy.api_keys.key_list import KeyDefaults, key_line, parse_keys
from scout_deploy.api_keys.key_source import read_key_file
from scout_deploy.api_keys.named_key import NamedKey
from scout_deploy.errors import DeployError, ProfileError

_MODE = 0o600


def append_key(path: Path, key: NamedKey) -> None:
    """Write the key's line at the end of a file, which is made, for this user alone, where it is missing.

    Raises:
        ProfileError: The file is open to others, not right, or has a key of that name already; it is left as it is.
        DeployError: It cannot be written.
    """
    text = read_key_file(path) if path.exists() else ""
    if any(line.strip() and not line.strip().startswith("#") for line in text.splitlines()):
        known = {one.name for one in parse_keys(text, str(path), KeyDefaults())}
        if key.name in known:
            raise ProfileError(
                f"{path} has a key of the name '{key.name}' already",
                next_step="choose another name, or remove that line first: the old key then no longer works",
            )
    separator = "\n" if text and not text.endswith("\n") else ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _MODE)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{separator}{key_line(key)}\n")
    except OSError as exc:
        raise DeployError(
            f"{exc.filename or path} cannot be written: {exc.strerror}", next_step="--file names another place"
        ) from exc
