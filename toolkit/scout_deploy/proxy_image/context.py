"""The build context of the proxy's image, and the tag that its content gives it."""

import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass

from scout_deploy.proxy_image.own_files import OwnFiles, read_own_files
from scout_deploy.proxy_image.wheel import pack_wheel

DEFAULT_BASE_IMAGE = "python:3.13-slim"
_REPOSITORY = "scout-deploy/proxy"
_HASH_DIGITS = 12


@dataclass(frozen=True, kw_only=True)
class ProxyImage:
    """An image that can be built.

    Args:
        tag: Its name; another content or base image gives another one, so an image of this name is this image.
        base_image: A Linux image with Python 3.11 or newer and pip, as `python` in its PATH.
        context_tar: What the builder gets: the Dockerfile at the top, the lock, and our wheel in `wheels/`.
    """

    tag: str
    base_image: str
    version: str
    context_tar: bytes

    @property
    def build_arguments(self) -> dict[str, str]:
        """What the builder has to be told beside the context."""
        return {"BASE_IMAGE": self.base_image, "SCOUT_VERSION": self.version}


def build_context(base_image: str = DEFAULT_BASE_IMAGE) -> ProxyImage:
    """Return the proxy's image of this installation.

    Raises:
        ImageError: The installation is damaged or not there.
    """
    return plan_proxy_image(base_image, read_own_files())


def plan_proxy_image(base_image: str, own: OwnFiles) -> ProxyImage:
    """Return the image of these files."""
    wheel = pack_wheel(own.version, files=own.packages, metadata=own.metadata)
    context = _packed(
        {"Dockerfile": own.dockerfile, "requirements-proxy.lock": own.lock, f"wheels/{wheel.name}": wheel.content}
    )
    digest = hashlib.sha256(b"\0".join((base_image.encode(), context))).hexdigest()
    return ProxyImage(
        tag=f"{_REPOSITORY}:{own.version}-{digest[:_HASH_DIGITS]}",
        base_image=base_image,
        version=own.version,
        context_tar=context,
    )


def _packed(files: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, content in files.items():
            # Owner root and the time 0, which is what makes it the same everywhere.
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()
