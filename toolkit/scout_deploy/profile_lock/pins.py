"""What `up --locked` holds a start to, in place of names that move."""

from collections.abc import Iterator
from dataclasses import dataclass

from scout_deploy.containers import labels
from scout_deploy.containers.observation import ContainerObservation
from scout_deploy.profile.profile import Profile
from scout_deploy.profile_lock.compare import changed_commit, changed_image
from scout_deploy.profile_lock.document import ProfileLock


@dataclass(frozen=True)
class Pins:
    """A lock, or none: then nothing is held to anything."""

    lock: ProfileLock | None = None

    def on(self, profile: Profile) -> Profile:
        """Return the profile with the locked commit in place of a branch, for whoever fetches weights."""
        commit = None if self.lock is None else self.lock.model.commit
        if commit is None or profile.model.id is None:
            return profile
        return profile.model_copy(update={"model": profile.model.model_copy(update={"revision": commit})})

    def image(self, reference: str) -> str | None:
        """Return what to run for an image's name; None where no lock says it."""
        image = None if self.lock is None else self.lock.image
        return image.digest if image is not None and image.reference == reference else None

    def other_commit(self, commit: str) -> tuple[str, ...]:
        """Say where a commit of the model is not the locked one."""
        return () if self.lock is None else tuple(changed_commit(self.lock, commit))

    def other_image(self, *runs: str) -> tuple[str, ...]:
        """Say where an image, known by its digest or id, is not the locked one."""
        return () if self.lock is None else tuple(changed_image(self.lock, *runs))

    def changes(self, seen: ContainerObservation) -> tuple[str, ...]:
        """Say how what runs differs from the lock, one line for each thing."""
        return () if self.lock is None else tuple(dict.fromkeys(running_changes(self.lock, seen)))


def running_changes(lock: ProfileLock, seen: ContainerObservation) -> Iterator[str]:
    """Say how engines that run differ from a lock in what their settings do not tell."""
    for engine in seen.engines:
        yield from changed_commit(lock, engine.labels.get(labels.COMMIT))
        yield from changed_image(lock, engine.image, engine.image_id)
