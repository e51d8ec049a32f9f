"""Locks as the commands use them: made by `lock`, held to by `up --locked`, compared with by `status`."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from scout_deploy.container_draft import Wish
from scout_deploy.errors import DeployError, LockDifferenceError
from scout_deploy.model_file import locate_model_file
from scout_deploy.profile.catalogue import SUFFIXES
from scout_deploy.profile.loader import LoadedProfile, load_profile
from scout_deploy.profile.settings import flatten_settings
from scout_deploy.profile_lock.compare import changed_model, changed_settings
from scout_deploy.profile_lock.document import LockedModel, ProfileLock, read_lock
from scout_deploy.profile_lock.files import model_of_file, model_of_folder
from scout_deploy.profile_lock.known import KnownLocks
from scout_deploy.profile_lock.pins import Pins
from scout_deploy.profile_lock.place import SUFFIX, lock_path
from scout_deploy.xdg import user_directories


def model_of_files(wish: Wish) -> LockedModel:
    """Return what lies on this machine of a model that no hub has; nothing of one of the hub."""
    model = wish.profile.model
    if wish.profile.engine.kind == "embedded":
        return model_of_file(locate_model_file(wish.profile))
    return LockedModel() if model.path is None else model_of_folder(Path(model.path))


def pins_of(loaded: LoadedProfile, wish: Wish) -> Pins:
    """Return what `up --locked` is held to.

    Raises:
        LockDifferenceError: There is no lock, or the profile or its files are not what it says.
    """
    path = lock_path(loaded.path, os.environ)
    lock = read_lock(path)
    again = f"scout-deploy lock --profile {wish.profile_name}"
    if lock is None:
        raise LockDifferenceError(f"profile '{loaded.name}' has no lock: there is no file {path}", next_step=again)
    settings = flatten_settings(wish.profile, wish.version)
    changed = (*changed_settings(lock, settings), *changed_model(lock, model_of_files(wish)))
    if changed:
        raise LockDifferenceError(
            f"profile '{loaded.name}' is not what its lock {path} says:",
            next_step=f"change it back, or lock it as it is: {again}",
            evidence=changed,
        )
    known_locks().remember(path)
    return Pins(lock)


def known_locks() -> KnownLocks:
    """Return the locks that this user made or ran on this machine."""
    return KnownLocks(user_directories(os.environ).state / "history" / "locks.json")


def locks_here() -> Iterator[ProfileLock]:
    """Yield every lock that can be found: known ones, those of shipped profiles, and those beside profiles here.

    Raises:
        ProfileError: One cannot be read.
    """
    of_shipped = (user_directories(os.environ).config / "profiles").glob(f"*{SUFFIX}")
    # Other programs' locks have the same ending.
    beside = (
        path for path in Path.cwd().glob(f"*{SUFFIX}") if any(path.with_suffix(end).is_file() for end in SUFFIXES)
    )
    for path in sorted({*known_locks().paths(), *of_shipped, *beside}):
        if (lock := read_lock(path)) is not None:
            yield lock


def lock_of(profile: str) -> ProfileLock | None:
    """Return the lock of a profile that a deployment names; None without one, or where either cannot be read."""
    try:
        loaded = load_profile(profile, environment=os.environ)
        return read_lock(lock_path(loaded.path, os.environ))
    except DeployError:
        return None


def settings_drift(lock: ProfileLock | None, settings: Mapping[str, str]) -> tuple[str, ...]:
    """Say how what runs differs from its profile's lock in its settings."""
    if lock is None or not settings:
        return ()
    return tuple(f"lock: {line}" for line in changed_settings(lock, settings))
