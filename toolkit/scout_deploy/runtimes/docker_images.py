"""What the product asks a Docker daemon about images; a part of `DockerEngine`, which has the library."""

import contextlib
import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

from scout_deploy.runtimes.docker_answers import Image, image_of
from scout_deploy.runtimes.docker_errors import DaemonRefusedError, NotThereError


class DockerImages(ABC):
    """The images of one daemon."""

    _api: Any

    @abstractmethod
    def _translated(self) -> contextlib.AbstractContextManager[None]:
        """Turn the library's errors into this product's own."""

    def image(self, reference: str) -> Image | None:
        """Return the image of this name, tag, digest or id, if the daemon has it."""
        try:
            with self._translated():
                answer = self._api.inspect_image(reference)
        except NotThereError:
            return None
        return image_of(answer)

    def build(self, context: bytes, *, tag: str, arguments: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Build an image from a tar with a Dockerfile in it; yields the daemon's events."""
        with self._translated():
            yield from self._api.build(
                fileobj=io.BytesIO(context), custom_context=True, tag=tag, buildargs=dict(arguments), rm=True,
                forcerm=True, decode=True, timeout=None,
            )  # fmt: skip

    def registry_digest(self, reference: str) -> str:
        """Ask the image's registry, through the daemon, for its digest: `sha256:...`.

        Raises:
            DaemonRefusedError: The registry refused, or cannot be reached.
        """
        with self._translated():
            answer = self._api.inspect_distribution(reference)
        return str(answer["Descriptor"]["digest"])

    def tag(self, image: str, reference: str) -> None:
        """Give an image this name, beside those that it has."""
        host, slash, name = reference.rpartition("/")
        repository, _, tag = name.partition(":")
        with self._translated():
            self._api.tag(image, f"{host}{slash}{repository}", tag=tag or "latest", force=True)

    def save(self, reference: str) -> Iterator[bytes]:
        """Give an image as a tar, piece by piece, as `docker save` does."""
        with self._translated():
            yield from self._api.get_image(reference)

    def load(self, pieces: Iterator[bytes]) -> None:
        """Take an image from a tar, as `docker load` does.

        Raises:
            DaemonRefusedError: It is no image.
        """
        with self._translated():
            for event in self._api.load_image(pieces) or ():
                if "error" in event:
                    raise DaemonRefusedError(str(event["error"]))
