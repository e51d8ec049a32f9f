"""Weights on their way to a machine without network: written, taken in, and refused where they are damaged."""

import os
import tarfile
from pathlib import Path

import pytest

from fakes.hub_server import COMMIT
from fakes.small_model import FETCHED, FILES, FIRST, MODEL, assert_whole, ignore
from scout_deploy.errors import WeightsError
from scout_deploy.weights.archive import LIST, ArchivedFile, ArchivedImage, ArchiveList
from scout_deploy.weights.cache import WeightsCache
from scout_deploy.weights.export import archived_files, write_archive
from scout_deploy.weights.repository import DownloadProgress, Revision
from scout_deploy.weights.unpack import open_archive, unpack_weights

IMAGE = b"an image, as docker save has it" * 1000
OUTSIDE = "../../outside"


def snapshot_in(cache: Path) -> Path:
    """Lay the model into a cache as a download does."""
    weights = WeightsCache(folder=cache)
    snapshot = weights.snapshot(MODEL, COMMIT)
    snapshot.mkdir(parents=True)
    for path in FETCHED:
        (snapshot / path).write_bytes(FILES[path])
    return snapshot


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    snapshot, target = snapshot_in(tmp_path / "here"), tmp_path / "carried.tar"
    image = ArchivedImage(reference="registry.example/tgi:1", member="images/0.tar")
    listed = ArchiveList(
        version="1",
        model_id=MODEL,
        revision="main",
        commit=COMMIT,
        files=archived_files(MODEL, snapshot),
        images=(image,),
    )
    write_archive(target, listed, snapshot, [(image, iter([IMAGE[:100], IMAGE[100:]]))], lambda _: None)
    return target


def test_what_was_written_is_taken_in_as_a_download_would_have_left_it(archive: Path, tmp_path: Path) -> None:
    cache = WeightsCache(folder=tmp_path / "there")
    seen: list[DownloadProgress] = []

    snapshot = unpack_weights(open_archive(archive), cache, seen.append)

    assert_whole(snapshot)
    assert cache.find(MODEL, "main") == snapshot
    assert all((snapshot / path).is_symlink() for path in FETCHED)
    assert seen[-1].done_bytes == seen[-1].total_bytes
    assert not list((tmp_path / "there").rglob("*.part"))


def test_any_program_can_look_inside_and_images_keep_their_checksum(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        names = tar.getnames()
        image = tar.extractfile("images/0.tar")
        assert image is not None
        assert image.read() == IMAGE

    assert names[0] == LIST
    opened = open_archive(archive)
    opened.check_image(opened.listed.images[0])


def test_what_is_there_already_is_left_and_the_rest_is_taken(archive: Path, tmp_path: Path) -> None:
    cache = WeightsCache(folder=tmp_path / "there")
    opened = open_archive(archive)
    snapshot = unpack_weights(opened, cache, ignore)
    (snapshot / "tokenizer.json").unlink()

    assert_whole(unpack_weights(opened, cache, ignore))


@pytest.mark.parametrize("left", [0.2, 0.5, 0.95])
def test_a_truncated_archive_is_refused_before_anything_is_written(archive: Path, left: float) -> None:
    os.truncate(archive, int(archive.stat().st_size * left))

    with pytest.raises(WeightsError, match=r"carried\.tar is not whole: its end is missing"):
        open_archive(archive)


@pytest.mark.parametrize("contents", [b"", b"not a tar", bytes(10_240)])
def test_a_foreign_file_is_refused(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / "other.tar"
    path.write_bytes(contents)

    with pytest.raises(WeightsError, match=r"other\.tar is not an archive that `scout-deploy pull --export`"):
        open_archive(path)


def test_a_foreign_tar_and_a_file_that_is_not_there_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "other.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("readme"))

    with pytest.raises(WeightsError, match="is not an archive that"):
        open_archive(tmp_path / "other.tar")
    with pytest.raises(WeightsError, match="cannot be read: No such file"):
        open_archive(tmp_path / "nothing.tar")


@pytest.mark.parametrize("what", ["weights", "image"])
def test_damaged_contents_are_named_and_not_taken(archive: Path, tmp_path: Path, what: str) -> None:
    opened = open_archive(archive)
    place, _ = opened.places[f"weights/{FIRST}" if what == "weights" else "images/0.tar"]
    with archive.open("r+b") as contents:
        contents.seek(place + 1000)
        contents.write(b"\0\1")
    cache = WeightsCache(folder=tmp_path / "there")

    def take() -> None:
        if what == "weights":
            unpack_weights(opened, cache, ignore)
        else:
            opened.check_image(opened.listed.images[0])

    with pytest.raises(WeightsError, match="is damaged: its checksum is another"):
        take()

    assert cache.find(MODEL, "main") is None
    assert not list(tmp_path.rglob(f"there/**/{FIRST}"))


@pytest.mark.parametrize(
    "change",
    [
        {"files": ({"path": OUTSIDE, "size_bytes": 1, "sha256": "a" * 64},)},
        {"files": ({"path": "x", "size_bytes": 1, "sha256": OUTSIDE},)},
        {"commit": OUTSIDE},
        {"model_id": OUTSIDE},
        {"revision": "/etc/passwd"},
        {"images": ({"reference": "x", "member": OUTSIDE},)},
    ],
)
def test_no_name_in_an_archive_leads_out_of_the_cache(change: dict[str, object]) -> None:
    good = {
        "version": "1",
        "model_id": MODEL,
        "revision": "main",
        "commit": COMMIT,
        "files": ({"path": "x", "size_bytes": 1, "sha256": "a" * 64},),
    }
    assert ArchiveList.model_validate(good).files == (ArchivedFile(path="x", size_bytes=1, sha256="a" * 64),)

    with pytest.raises(ValueError, match=r"should match pattern|at least 64|at most 64"):
        ArchiveList.model_validate(good | change)


def test_an_archive_overwrites_nothing_and_a_damaged_snapshot_is_not_carried(archive: Path, tmp_path: Path) -> None:
    listed, snapshot = open_archive(archive).listed, WeightsCache(folder=tmp_path / "here").snapshot(MODEL, COMMIT)
    listed = listed.model_copy(update={"images": ()})

    with pytest.raises(WeightsError, match=r"carried\.tar is there already"):
        write_archive(archive, listed, snapshot, [], lambda _: None)

    (snapshot / "config.json").write_bytes(b"{}")
    with pytest.raises(WeightsError, match=r"config\.json is damaged on this disk"):
        write_archive(tmp_path / "new.tar", listed, snapshot, [], lambda _: None)

    assert not list(tmp_path.glob("new.tar*"))


def test_a_disk_too_small_for_weights_and_images_together_is_found_before_a_byte_is_written(tmp_path: Path) -> None:
    snapshot = snapshot_in(tmp_path / "here")
    files = archived_files(MODEL, snapshot)
    listed = ArchiveList(version="1", model_id=MODEL, revision="main", commit=COMMIT, files=files)

    with pytest.raises(WeightsError) as caught:
        write_archive(
            tmp_path / "new.tar",
            listed,
            snapshot,
            [],
            lambda _: None,
            image_bytes=8_000_000_000,
            free_bytes=lambda _: 8_000_000_000,
        )

    assert caught.value.message.startswith("the archive takes about 8.0 GB, 8.0 GB of it images, and the disk of ")
    assert caught.value.next_step == "name a file on a larger disk; --without-images leaves the images out"
    assert not list(tmp_path.glob("new.tar*"))


def test_a_branch_is_remembered_for_the_machine_without_network(archive: Path, tmp_path: Path) -> None:
    cache = WeightsCache(folder=tmp_path / "there")
    unpack_weights(open_archive(archive), cache, ignore)

    assert cache.commit(MODEL, "main") == COMMIT
    assert cache.find(MODEL, Revision(model_id=MODEL, name="main", commit=COMMIT, files=()).commit) is not None
