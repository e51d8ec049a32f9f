"""Where an operator keeps the API keys: a file that only they can read, or a variable of their environment."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from scout_deploy.api_keys.key_list import KeyDefaults, parse_keys
from scout_deploy.api_keys.named_key import NamedKey
from scout_deploy.errors import ProfileError
from scout_deploy.profile.proxy import Keys

_MAX_BYTES = 4 * 2**20
_KEY = "proxy/keys"


def read_keys(keys: Keys, environment: Mapping[str, str]) -> tuple[NamedKey, ...]:
    """Return the keys that a profile names; none where it names none.

    Raises:
        ProfileError: They cannot be read, are open to others, or are not right; no message holds a key.
    """
    defaults = KeyDefaults(requests_per_minute=keys.requests_per_minute, max_concurrent=keys.max_concurrent)
    if keys.file is not None:
        path = Path(keys.file)
        return parse_keys(read_key_file(path), str(path), defaults)
    if keys.variable is None:
        return ()
    text = environment.get(keys.variable, "")
    if not text.strip():
        raise ProfileError(
            f"{_KEY}/variable: the environment variable {keys.variable} is not set, or empty",
            next_step=f"set {keys.variable} to the keys, as in 'name: key; name: key', or name a file in {_KEY}/file",
        )
    return parse_keys(text, f"the variable {keys.variable}", defaults, separator=";")


def read_key_file(path: Path) -> str:
    """Return the text of a file of keys.

    Raises:
        ProfileError: It cannot be read, or others of the machine can read or write it.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            _check_private(path, mode)
            raw = file.read(_MAX_BYTES + 1)
    except OSError as exc:
        raise ProfileError(
            f"{_KEY}/file: {path} cannot be read: {exc.strerror}",
            next_step=f"scout-deploy keys new NAME --file {path} makes a key and the file, or correct {_KEY}/file",
        ) from exc
    if len(raw) > _MAX_BYTES:
        raise ProfileError(f"{_KEY}/file: {path} is larger than {_MAX_BYTES} bytes", next_step=f"correct {_KEY}/file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = raw[: exc.start].count(b"\n") + 1
        raise ProfileError(f"{path}: line {line}: not UTF-8", next_step="write the line again") from None


def _check_private(path: Path, mode: int) -> None:
    # A group may be the operators' own; everybody never is.
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise ProfileError(
            f"{_KEY}/file: {path} can be read or changed by others of this machine (mode {stat.S_IMODE(mode):03o})",
            next_step=f"chmod 600 {path}",
        )
