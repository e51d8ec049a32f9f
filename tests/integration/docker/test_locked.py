"""A profile's lock, and images that travel in an archive, on a real Docker engine."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.container_case import ContainerCase, write_profile
from fakes.hub_server import HubServer
from fakes.safetensors_file import safetensors_file
from fakes.tgi_weights import write_weights
from scout_deploy.profile_lock.document import read_lock, write_lock

pytestmark = pytest.mark.docker

_MODEL = "team/demo"


@pytest.fixture
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    folder = write_weights(tmp_path_factory.mktemp("repository"))
    (played,) = folder.glob("*.gguf")
    files = {name: (folder / name).read_bytes() for name in ("config.json", "tokenizer_config.json")}
    with HubServer() as running:
        running.add(_MODEL, files | {"model.safetensors": safetensors_file(9000), "played.model": played.read_bytes()})
        yield running


@pytest.fixture
def profile(tmp_path: Path, tgi_image: str, base_image: str, free_port: int) -> Path:
    return write_profile(
        tmp_path / "hub.yaml", model=f"id: {_MODEL}", image=tgi_image, base_image=base_image, port=free_port
    )


def test_a_lock_is_run_exactly_and_what_differs_is_said(case: ContainerCase, hub: HubServer, tmp_path: Path) -> None:
    variables = {"HF_ENDPOINT": hub.endpoint, "HF_HUB_CACHE": str(tmp_path / "cache"), "HF_TOKEN": ""}
    locked = case.cli.run("lock", "--profile", str(case.profile), variables=variables)
    assert locked.returncode == 0, locked.stdout + locked.stderr
    lock = read_lock(tmp_path / "hub.lock")
    assert lock is not None
    assert lock.image is not None

    case.up_works("--locked", variables=variables)
    assert case.container().attrs["Image"] == lock.image.id
    assert case.container().labels["scout.commit"] == lock.model.commit
    assert case.status()["drift"] == []

    write_lock(
        tmp_path / "hub.lock",
        lock.model_copy(update={"model": lock.model.model_copy(update={"commit": "c" * 40})}),
    )
    again = case.up("--locked", variables=variables)

    assert case.status()["drift"] == [f"lock: model commit: {'c' * 40} -> {lock.model.commit}"]
    assert again.returncode == 13, again.stdout + again.stderr
    assert f"model commit: {'c' * 40} -> {lock.model.commit}" in again.stderr


def test_image_and_weights_travel_in_one_archive(
    case: ContainerCase, hub: HubServer, tgi_image: str, tmp_path: Path
) -> None:
    variables = {"HF_ENDPOINT": hub.endpoint, "HF_HUB_CACHE": str(tmp_path / "cache"), "HF_TOKEN": ""}
    archive = tmp_path / "carried.tar"
    written = case.cli.run(
        "pull", "--profile", str(case.profile), "--export", str(archive), "--json", variables=variables
    )
    assert written.returncode == 0, written.stdout + written.stderr

    there = {"HF_HUB_CACHE": str(tmp_path / "there")}
    taken = case.cli.run("pull", "--import", str(archive), "--profile", str(case.profile), variables=there)

    assert taken.returncode == 0, taken.stdout + taken.stderr
    with tarfile.open(archive) as tar:
        assert {"images/0.tar", "images/1.tar", "weights/model.safetensors"} < set(tar.getnames())
    assert f"image      {tgi_image}" in taken.stdout
    assert json.loads(written.stdout.splitlines()[-1])["bytes"] == archive.stat().st_size


@pytest.mark.variant
def test_another_image_than_the_locks_is_not_carried(case: ContainerCase, hub: HubServer, tmp_path: Path) -> None:
    variables = {"HF_ENDPOINT": hub.endpoint, "HF_HUB_CACHE": str(tmp_path / "cache"), "HF_TOKEN": ""}
    locked = case.cli.run("lock", "--profile", str(case.profile), variables=variables)
    assert locked.returncode == 0, locked.stdout + locked.stderr
    lock = read_lock(tmp_path / "hub.lock")
    assert lock is not None
    assert lock.image is not None
    image = lock.image.model_copy(update={"digest": "sha256:" + "1" * 64, "id": "sha256:" + "2" * 64})
    write_lock(tmp_path / "hub.lock", lock.model_copy(update={"image": image}))

    export = ("--locked", "--export", str(tmp_path / "carried.tar"))
    other = case.cli.run("pull", "--profile", str(case.profile), *export, variables=variables)

    assert "the engine's image is not the one of the lock" in other.stderr
    assert f"engine image: sha256:{'1' * 64} -> {lock.image.id}" in other.stderr
    assert not (tmp_path / "carried.tar").exists()
