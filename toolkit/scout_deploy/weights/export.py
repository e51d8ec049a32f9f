"""Writes an archive of weights and images."""

import hashlib
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from scout_deploy.errors import WeightsError
from scout_deploy.weights import failures
from scout_deploy.weights.archive import END, LIST, ArchivedFile, ArchivedImage, ArchiveEnd, ArchiveList
from scout_deploy.weights.cache import is_as_published
from scout_deploy.weights.download import free_bytes
from scout_deploy.weights.files import needed_files
from scout_deploy.weights.repository import RepoFile

PIECE_BYTES = 1 << 20
_SHA256_DIGITS = 64

OnBytes = Callable[[int], None]


def archived_files(model_id: str, snapshot: Path) -> tuple[ArchivedFile, ...]:
    """Return what an engine needs of a snapshot; the names of its contents are their checksums.

    Raises:
        WeightsError: The snapshot has no weights.
    """
    there = [_file(path) for path in sorted(snapshot.iterdir()) if path.is_file()]
    return tuple(
        ArchivedFile(path=file.path, size_bytes=file.size_bytes, sha256=file.sha256, git_oid=file.git_oid)
        for file in needed_files(model_id, there)
    )


def _file(path: Path) -> RepoFile:
    size, name = path.stat().st_size, path.resolve().name
    if not path.is_symlink():
        with path.open("rb") as contents:
            name = hashlib.file_digest(contents, "sha256").hexdigest()
    if len(name) == _SHA256_DIGITS:
        return RepoFile(path=path.name, size_bytes=size, sha256=name)
    return RepoFile(path=path.name, size_bytes=size, git_oid=name)


def write_archive(
    target: Path,
    listed: ArchiveList,
    snapshot: Path,
    images: Sequence[tuple[ArchivedImage, Iterable[bytes]]],
    on_bytes: OnBytes,
    *,
    image_bytes: int = 0,
    free_bytes: Callable[[Path], int] = free_bytes,
) -> None:
    """Write an archive; under its name it is whole.

    Args:
        images: What `listed` has of them, each with its contents, read once.
        on_bytes: Told how many bytes are written, of all together.
        image_bytes: About what the images will take.
        free_bytes: Tells the free space of the disk that a folder is on.

    Raises:
        WeightsError: The file is there already, the disk is too small or full, or a file of the snapshot is damaged.
    """
    if target.exists():
        raise WeightsError(f"{target} is there already", next_step="name another file, or remove it")
    total = sum(file.size_bytes for file in listed.files) + image_bytes
    try:
        free = free_bytes(target.absolute().parent)
        if free < total:
            raise failures.archive_disk_too_small(target, needed_bytes=total, image_bytes=image_bytes, free_bytes=free)
        _check(listed, snapshot)
        part = target.with_name(f"{target.name}.part")
        try:
            with part.open("wb") as output:
                _write(_Tar(output, on_bytes), listed, snapshot, images)
                output.flush()
                os.fsync(output.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as exc:
        raise failures.archive_disk(exc, target) from exc


def _check(listed: ArchiveList, snapshot: Path) -> None:
    for file in listed.files:
        if not is_as_published(snapshot / file.path, file.repo_file):
            raise WeightsError(
                f"{snapshot / file.path} is damaged on this disk: its checksum is another",
                next_step=f"remove it and pull again: rm {snapshot / file.path}",
            )


def _write(
    tar: "_Tar", listed: ArchiveList, snapshot: Path, images: Sequence[tuple[ArchivedImage, Iterable[bytes]]]
) -> None:
    tar.add(LIST, [listed.model_dump_json(indent=1).encode()])
    for file in listed.files:
        tar.add(file.member, _pieces(snapshot / file.path))
    tar.add(
        END,
        [
            ArchiveEnd(sha256={image.member: tar.add(image.member, data) for image, data in images})
            .model_dump_json(indent=1)
            .encode()
        ],
    )
    tar.end()


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as contents:
        while piece := contents.read(PIECE_BYTES):
            yield piece


class _Tar:
    """Writes members whose size is not known before their end: the header is written again when it is.

    The library's own writer wants the size first, which Docker does not tell of an image.
    """

    def __init__(self, output: BinaryIO, on_bytes: OnBytes) -> None:
        self._output = output
        self._on_bytes = on_bytes
        self._written = 0

    def add(self, name: str, pieces: Iterable[bytes]) -> str:
        """Write a member and return its SHA-256."""
        begin, size, digest = self._output.tell(), 0, hashlib.sha256()
        self._output.write(_header(name, 0))
        for piece in pieces:
            self._output.write(piece)
            digest.update(piece)
            size += len(piece)
            self._written += len(piece)
            self._on_bytes(self._written)
        self._output.write(bytes(-size % tarfile.BLOCKSIZE))
        end = self._output.tell()
        self._output.seek(begin)
        self._output.write(_header(name, size))
        self._output.seek(end)
        return digest.hexdigest()

    def end(self) -> None:
        self._output.write(bytes(2 * tarfile.BLOCKSIZE))


def _header(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    return entry.tobuf(tarfile.GNU_FORMAT)
