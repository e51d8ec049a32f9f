"""A Docker engine, images made without a registry, and proof that each test leaves nothing behind."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from fakes.container_case import ContainerCase, container_case, write_profile
from fakes.docker_base import build_base_image
from fakes.docker_daemon import docker_engine as running_docker_engine
from fakes.docker_leftovers import remove_leftovers
from fakes.proxy_image import build_proxy_image
from fakes.tgi_image import build_tgi_image
from fakes.tgi_weights import write_weights
from fakes.this_machine import alone, unused_port


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[docker.DockerClient]:
    """A client of an engine that answers."""
    with running_docker_engine() as client:
        yield client


@pytest.fixture(scope="session")
def base_image(docker_engine: docker.DockerClient) -> str:
    """The tag of an image with Python and our dependencies: the BASE_IMAGE of the proxy's."""
    with alone("images"):
        return build_base_image(docker_engine)


@pytest.fixture(scope="session", autouse=True)
def proxy_image(docker_engine: docker.DockerClient, base_image: str) -> str:
    """The tag of the proxy's image, which tests that run side by side would otherwise build at the same time."""
    with alone("images"):
        return build_proxy_image(docker_engine, base_image)


@pytest.fixture(scope="session")
def tgi_image(docker_engine: docker.DockerClient, base_image: str) -> str:
    """The tag of the image that plays TGI."""
    with alone("images"):
        return build_tgi_image(docker_engine, base_image)


@pytest.fixture
def demo_weights(tmp_path: Path) -> Path:
    """A folder of weights for the played TGI; `fakes.tgi_weights.change_play` says what it plays."""
    return write_weights(tmp_path / "weights")


@pytest.fixture
def new_deployment_name(docker_engine: docker.DockerClient) -> Iterator[Callable[[], str]]:
    """Names that no other deployment has; the test fails where anything of one is left after it."""
    names: list[str] = []

    def new() -> str:
        names.append(f"test-{secrets.token_hex(4)}")
        return names[-1]

    yield new
    left = [what for name in names for what in remove_leftovers(docker_engine, name)]
    assert left == [], "the test left these on the Docker engine; they are removed now"


@pytest.fixture
def deployment_name(new_deployment_name: Callable[[], str]) -> str:
    """A name that no other deployment has."""
    return new_deployment_name()


@pytest.fixture
def free_port() -> int:
    """A port on loopback that nobody has."""
    return unused_port()


@pytest.fixture
def profile(tmp_path: Path, demo_weights: Path, tgi_image: str, base_image: str, free_port: int) -> Path:
    """A profile for the played TGI; a test file may have another one."""
    return write_profile(
        tmp_path / "played.yaml", model=f"path: {demo_weights}", image=tgi_image, base_image=base_image, port=free_port
    )


@pytest.fixture
def case(
    tmp_path: Path, docker_engine: docker.DockerClient, deployment_name: str, profile: Path, free_port: int
) -> Iterator[ContainerCase]:
    """A deployment of that profile which is not up yet, and is taken down at the end."""
    with container_case(tmp_path, deployment_name, profile, free_port, docker_engine) as running:
        yield running
