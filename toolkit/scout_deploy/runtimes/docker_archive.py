"""Files on their way into a container and out of it: the Docker Engine API carries them as tar archives. Pure."""

import io
import posixpath
import tarfile
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class LinkTo:
    """What was read is a link; `path` is where it leads, inside the container."""

    path: str


def archive_of(name: str, content: bytes, *, mode: int, uid: int) -> bytes:
    """Return an archive with this one file."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode, entry.mtime, entry.uid, entry.gid = len(content), mode, int(time.time()), uid, uid
        tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


def read_archive(archive: bytes, path: str) -> bytes | LinkTo | None:
    """Return the content of an archive's first file, or where it leads; None where it is neither file nor link.

    Args:
        path: Where it was read from, which a relative link starts at.
    """
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        member = tar.next()
        if member is not None and member.issym():
            return LinkTo(posixpath.normpath(posixpath.join(posixpath.dirname(path), member.linkname)))
        file = None if member is None else tar.extractfile(member)
        return None if file is None else file.read()
