"""Docker pulls from the registry of the tests as it does from a real one."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError, ImageNotFound

from fakes.image_registry import ImageRegistry, Manner, Refusal, image_registry
from fakes.registry_image import made_up_image, saved_image

pytestmark = [pytest.mark.docker, pytest.mark.variant]

Pull = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def registry() -> Iterator[ImageRegistry]:
    with image_registry() as running:
        yield running


@pytest.fixture
def pull(docker_engine: docker.DockerClient) -> Iterator[Pull]:
    """Pulls a reference and returns Docker's messages; what was pulled is removed at the end."""
    pulled: list[str] = []

    def pulls(reference: str) -> list[dict[str, Any]]:
        pulled.append(reference)
        return list(docker_engine.api.pull(reference, stream=True, decode=True))

    yield pulls
    for reference in pulled:
        try:
            docker_engine.images.remove(reference, force=True)
        except ImageNotFound:
            continue


def test_pull_shows_each_layers_bytes_and_resolves_the_digest(
    docker_engine: docker.DockerClient, registry: ImageRegistry, pull: Pull
) -> None:
    image = made_up_image([300_000, 500_000, 700_000], labels={"made": "up"})
    reference = registry.add("team/engine", "1.0", image, Manner(bytes_per_s=1_000_000))

    messages = pull(reference)

    totals = {
        message["id"]: message["progressDetail"]["total"]
        for message in messages
        if message.get("status") == "Downloading" and message["progressDetail"]
    }
    assert sorted(totals.values()) == sorted(len(layer) for layer in image.layers)
    pulled = docker_engine.images.get(reference)
    assert pulled.labels == {"made": "up"}
    assert pulled.attrs["RepoDigests"] == [f"{registry.address}/team/engine@{image.digest}"]


def test_an_image_that_was_saved_can_be_pulled_and_run(
    docker_engine: docker.DockerClient, base_image: str, registry: ImageRegistry, pull: Pull, tmp_path: Path
) -> None:
    tarball = tmp_path / "image.tar"
    with tarball.open("wb") as file:
        file.writelines(docker_engine.images.get(base_image).save())
    reference = registry.add("base", "latest", saved_image(tarball))

    pull(reference)

    assert docker_engine.containers.run(reference, ["python", "-c", "print('ran')"], remove=True) == b"ran\n"


def test_a_layer_whose_connection_was_cut_is_pulled_to_its_end(
    docker_engine: docker.DockerClient, registry: ImageRegistry, pull: Pull
) -> None:
    reference = registry.add("cut", "1", made_up_image([400_000]), Manner(cut_after_bytes=100_000))

    messages = pull(reference)

    assert not [message for message in messages if "error" in message]
    assert docker_engine.images.get(reference).tags == [reference]


def test_a_tag_that_is_missing_is_an_unknown_manifest(registry: ImageRegistry, pull: Pull) -> None:
    registry.add("team/engine", "1.0", made_up_image([1000]))

    with pytest.raises(APIError, match="manifest unknown"):
        pull(f"{registry.address}/team/engine:2.0")


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        ("denied", r'\("denied"\)'),
        ("login", "may require 'docker login': denied: requested access to the resource is denied"),
        ("too-many-requests", "You have reached your pull rate limit"),
    ],
    ids=["denied", "login", "too many requests"],
)
def test_a_refused_pull_says_why(registry: ImageRegistry, pull: Pull, refusal: Refusal, said: str) -> None:
    reference = registry.add("closed", "1", made_up_image([1000]), Manner(refusal=refusal))

    with pytest.raises(APIError, match=said):
        pull(reference)
