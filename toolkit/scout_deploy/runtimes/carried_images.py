"""The images that a machine without network needs beside the weights: the engine's, and the proxy's, which is built."""

from collections.abc import Iterator
from dataclasses import dataclass

from scout_deploy.errors import ImageError
from scout_deploy.profile.proxy import Proxy
from scout_deploy.progress import Tell
from scout_deploy.proxy_image.context import build_context
from scout_deploy.runtimes.docker_engine import DockerEngine
from scout_deploy.runtimes.images import Images, PullRefusedError


@dataclass(frozen=True, kw_only=True)
class CarriedImages:
    """Images of one Docker host, under the names that `up` will look for.

    Args:
        reference: The engine's.
    """

    engine: DockerEngine
    images: Images
    reference: str
    proxy: Proxy

    def provide(self, tell: Tell) -> tuple[str, ...]:
        """Pull and build what is missing; return the names to save.

        Raises:
            ImageError: One cannot be had, or is named by its digest alone, which no archive keeps.
        """
        return (self._named(self.reference, tell), self._proxy(tell))

    def save(self, reference: str) -> Iterator[bytes]:
        """Give an image as a tar."""
        return self.engine.save(reference)

    def close(self) -> None:
        """Close the connections."""
        self.engine.close()

    def _proxy(self, tell: Tell) -> str:
        if self.proxy.image is not None:
            return self._named(self.proxy.image, tell)
        return self.images.provide_proxy(build_context(self.proxy.base_image), tell)

    def _named(self, reference: str, tell: Tell) -> str:
        if "@" in reference:
            raise ImageError(
                f"{reference} is named by its digest, which an image loses in an archive",
                next_step="name it by a tag (engine.image), or use --without-images",
            )
        try:
            provided = self.images.provide(reference, tell)
        except PullRefusedError as exc:
            raise ImageError(
                f"{exc.reference} cannot be pulled: {exc}",
                next_step=f"docker pull {exc.reference} tries it alone; --without-images carries the weights alone",
            ) from exc
        # It was pulled by its digest, and an archive keeps names alone.
        self.engine.tag(provided, reference)
        return reference
