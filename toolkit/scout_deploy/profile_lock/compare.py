"""How something differs from a lock, one line for each thing. Pure."""

from collections.abc import Iterator, Mapping

from scout_deploy.deployment import differences
from scout_deploy.profile_lock.document import LockedModel, ProfileLock

_SECTIONS = ("engine/", "hardware/", "model/")
_KEYS = frozenset({"replicas", "proxy/prompt_format", "scout-deploy/version"})


def locked_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """Return those of a flattened profile that decide what an engine answers, and how."""
    return {key: value for key, value in settings.items() if key.startswith(_SECTIONS) or key in _KEYS}


def changed_settings(lock: ProfileLock, settings: Mapping[str, str]) -> tuple[str, ...]:
    """Say which settings are others than the lock's: `key: locked -> now`."""
    return differences(lock.settings, locked_settings(settings))


def changed_model(lock: ProfileLock, now: LockedModel) -> Iterator[str]:
    """Say how a file or directory differs from the locked one; what is not known of either says nothing."""
    for name in sorted(lock.model.files.keys() | now.files.keys()):
        was, is_now = lock.model.files.get(name), now.files.get(name)
        if was != is_now:
            yield f"model file {name}: {_bytes(was)} -> {_bytes(is_now)}"
    for name in sorted(lock.model.checksums.keys() & now.checksums.keys()):
        was_sum, sum_now = lock.model.checksums[name], now.checksums[name]
        # Another size was said above.
        if was_sum != sum_now and lock.model.files.get(name) == now.files.get(name):
            yield f"SHA-256 of model file {name}: {was_sum} -> {sum_now}"
    if None not in (lock.model.sha256, now.sha256) and lock.model.sha256 != now.sha256:
        yield f"model file's SHA-256: {lock.model.sha256} -> {now.sha256}"


def changed_commit(lock: ProfileLock, commit: str | None) -> Iterator[str]:
    """Say where another commit of the model runs."""
    if None not in (lock.model.commit, commit) and lock.model.commit != commit:
        yield f"model commit: {lock.model.commit} -> {commit}"


def changed_image(lock: ProfileLock, *runs: str) -> Iterator[str]:
    """Say where another image runs.

    Args:
        runs: What is known of the image that runs: its digest, its id. One that is the lock's is enough.
    """
    if lock.image is not None and not {lock.image.digest, lock.image.id} & set(runs):
        yield f"engine image: {lock.image.digest} -> {runs[0]}"


def _bytes(size: int | None) -> str:
    return "(not there)" if size is None else f"{size} bytes"
