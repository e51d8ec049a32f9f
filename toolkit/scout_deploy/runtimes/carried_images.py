"""The images that a machine without network needs beside the weights: the engine's, and the proxy's, which is built."""

from collections.abc import Iterator
from dataclasses import dataclass

from scout_deploy.errors import ImageError, LockDifferenceError
from scout_deploy.profile.proxy import Proxy
from scout_deploy.profile_lock.pins import Pins
from scout_deploy.progress import Tell
from scout_deploy.proxy_image.context import build_context
from scout_deploy.runtimes.docker_engine import DockerEngine
from scout_deploy.runtimes.images import Images, PullRefusedError


@dataclass(frozen=True, kw_only=True)
class CarriedImages:
    """Images of one Docker host, under the names that `up` will look for.

    Args:
        reference: The engine's.
        pins: What the engine's image is held to.
    """

    engine: DockerEngine
    images: Images
    reference: str
    proxy: Proxy
    pins: Pins

    def provide(self, tell: Tell) -> tuple[str, ...]:
        """Pull and build what is missing; return the names to save.

        Raises:
            ImageError: One cannot be had, or is named by its digest alone, which no archive keeps.
            LockDifferenceError: The engine's is not the one of the lock.
        """
        return (self._engine(tell), self._proxy(tell))

    def size_bytes(self, reference: str) -> int:
        """Return about how much an image's tar will be."""
        image = self.engine.image(reference)
        return 0 if image is None else image.size_bytes

    def save(self, reference: str) -> Iterator[bytes]:
        """Give an image as a tar."""
        return self.engine.save(reference)

    def close(self) -> None:
        """Close the connections."""
        self.engine.close()

    def _engine(self, tell: Tell) -> str:
        named = self._named(self.reference, tell, self.pins.image(self.reference))
        image = self.engine.image(named)
        if image is not None and (changed := self.pins.other_image(*image.digests, image.id)):
            raise LockDifferenceError(
                "the engine's image is not the one of the lock:",
                next_step="get that image onto the Docker host, or lock what is there",
                evidence=changed,
            )
        return named

    def _proxy(self, tell: Tell) -> str:
        if self.proxy.image is not None:
            return self._named(self.proxy.image, tell)
        return self.images.provide_proxy(build_context(self.proxy.base_image), tell)

    def _named(self, reference: str, tell: Tell, pinned: str | None = None) -> str:
        if "@" in reference:
            raise ImageError(
                f"{reference} is named by its digest, which an image loses in an archive",
                next_step="name it by a tag (engine.image), or use --without-images",
            )
        try:
            provided = self.images.provide(reference, tell, pinned)
        except PullRefusedError as exc:
            raise ImageError(
                f"{exc.reference} cannot be pulled: {exc}",
                next_step=f"docker pull {exc.reference} tries it alone; --without-images carries the weights alone",
            ) from exc
        # It was pulled by its digest, and an archive keeps names alone.
        self.engine.tag(provided, reference)
        return reference
