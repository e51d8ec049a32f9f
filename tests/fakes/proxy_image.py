"""The proxy's image as `up` builds it, made before any `up` needs it."""

import io

import docker
from docker.errors import ImageNotFound

from scout_deploy.proxy_image.context import build_context


def build_proxy_image(client: docker.DockerClient, base: str) -> str:
    """Return the tag of the image, after building it on `base` where the engine has none of this content."""
    image = build_context(base)
    try:
        client.images.get(image.tag)
    except ImageNotFound:
        client.images.build(
            fileobj=io.BytesIO(image.context_tar),
            custom_context=True,
            tag=image.tag,
            buildargs=image.build_arguments,
            rm=True,
            forcerm=True,
        )
    return image.tag
