"""Files on their way into a container and out of it."""

import io
import tarfile

import pytest

from scout_deploy.runtimes.docker_answers import memory_of
from scout_deploy.runtimes.docker_archive import LinkTo, archive_of, read_archive


def link(target: str) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("config.json")
        entry.type, entry.linkname = tarfile.SYMTYPE, target
        tar.addfile(entry)
    return archive.getvalue()


def test_file_arrives_with_its_content_its_owner_and_its_mode() -> None:
    archive = archive_of("token", b"secret", mode=0o400, uid=7)

    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        (entry,) = tar.getmembers()
    assert (entry.name, entry.mode, entry.uid, entry.gid) == ("token", 0o400, 7, 7)
    assert read_archive(archive, "/token") == b"secret"


@pytest.mark.parametrize(
    ("target", "path"),
    [("../../blobs/1", "/weights/blobs/1"), ("/elsewhere/1", "/elsewhere/1"), ("1", "/weights/snapshots/commit/1")],
)
def test_link_says_where_it_leads_inside_the_container(target: str, path: str) -> None:
    assert read_archive(link(target), "/weights/snapshots/commit/config.json") == LinkTo(path)


def test_memory_leaves_caches_out() -> None:
    assert memory_of({"memory_stats": {"usage": 100, "stats": {"inactive_file": 30}}}) == 70
    assert memory_of({"memory_stats": {}}) is None
