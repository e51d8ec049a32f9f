"""Reads an archive of weights and images; nothing of it is trusted before its checksum was right."""

import contextlib
import hashlib
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from scout_deploy.errors import WeightsError
from scout_deploy.weights import failures
from scout_deploy.weights.archive import (
    END,
    LIST,
    MOST_LIST_BYTES,
    ArchivedFile,
    ArchivedImage,
    ArchiveEnd,
    ArchiveList,
)
from scout_deploy.weights.cache import WeightsCache, is_as_published
from scout_deploy.weights.download import PROGRESS_EVERY_S, free_bytes
from scout_deploy.weights.repository import DownloadProgress, Revision
from scout_deploy.weights.soundness import check_snapshot
from scout_deploy.weights.turn import turn

_PIECE_BYTES = 1 << 20
_Document = TypeVar("_Document", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Archive:
    """An archive whose members are all there, in full; their contents are not checked yet."""

    path: Path
    listed: ArchiveList
    end: ArchiveEnd
    places: dict[str, tuple[int, int]]

    def pieces(self, member: str) -> Iterator[bytes]:
        """Give a member's contents piece by piece."""
        begin, left = self.places[member]
        with self.path.open("rb") as contents:
            contents.seek(begin)
            while left:
                piece = contents.read(min(left, _PIECE_BYTES))
                if not piece:
                    raise failures.truncated_archive(self.path)
                left -= len(piece)
                yield piece

    def check_image(self, image: ArchivedImage) -> None:
        """Compare an image with its checksum.

        Raises:
            WeightsError: It is damaged.
        """
        digest = hashlib.sha256()
        for piece in self.pieces(image.member):
            digest.update(piece)
        if digest.hexdigest() != self.end.sha256.get(image.member):
            raise failures.damaged_archive(self.path, image.member)


def open_archive(path: Path) -> Archive:
    """Read an archive's lists, and find its members.

    Raises:
        WeightsError: It is none of ours, or not whole.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            first = tar.next()
            if first is None or first.name != LIST:
                raise failures.foreign_archive(path)
            listed = _document(path, tar, first, ArchiveList)
            members = {one.name: one for one in tar.getmembers()}
            if END not in members:
                raise failures.truncated_archive(path)
            end = _document(path, tar, members[END], ArchiveEnd)
    except tarfile.ReadError as exc:
        raise (failures.truncated_archive(path) if _begins_as_ours(path) else failures.foreign_archive(path)) from exc
    except OSError as exc:
        raise WeightsError(
            f"{path} cannot be read: {exc.strerror or exc}", next_step="name the file that `pull --export` wrote"
        ) from exc
    places = {name: (one.offset_data, one.size) for name, one in members.items() if one.isreg()}
    for file in listed.files:
        if places.get(file.member, (0, -1))[1] != file.size_bytes:
            raise failures.truncated_archive(path)
    if not listed.members <= places.keys():
        raise failures.truncated_archive(path)
    return Archive(path=path, listed=listed, end=end, places=places)


def unpack_weights(archive: Archive, cache: WeightsCache, on_progress: Callable[[DownloadProgress], None]) -> Path:
    """Put an archive's weights into the cache, as a download would have, and return the snapshot's folder.

    Raises:
        WeightsError: A file is damaged, or the disk is too small or full.
    """
    listed = archive.listed
    files = tuple(file.repo_file for file in listed.files)
    revision = Revision(model_id=listed.model_id, name=listed.revision, commit=listed.commit, files=files)
    total = sum(file.size_bytes for file in files)

    def waiting(holder: str) -> None:
        on_progress(DownloadProgress(done_bytes=0, total_bytes=total, waits_for=holder))

    lock = cache.turn_lock(listed.model_id)
    with turn(lock, waiting=waiting, cancelled=threading.Event(), every_s=PROGRESS_EVERY_S), _explained(cache):
        missing = [file for file in listed.files if not cache.has(revision, file.repo_file)]
        needed, free = sum(file.size_bytes for file in missing), free_bytes(cache.folder)
        if needed > free:
            raise failures.disk_too_small(cache.folder, needed_bytes=needed, free_bytes=free)
        done = total - needed
        on_progress(DownloadProgress(done_bytes=done, total_bytes=total))
        for file in missing:
            for size in _unpack(archive, cache, revision, file):
                done += size
                on_progress(DownloadProgress(done_bytes=done, total_bytes=total, file=file.path))
        cache.write_list(revision, files)
        cache.write_reference(revision)
    snapshot = cache.snapshot(listed.model_id, listed.commit)
    check_snapshot(snapshot)
    return snapshot


def _unpack(archive: Archive, cache: WeightsCache, revision: Revision, file: ArchivedFile) -> Iterator[int]:
    blob, pointer = cache.blob(revision, file.repo_file), cache.pointer(revision, file.repo_file)
    part = blob.with_name(f"{blob.name}.part")
    blob.parent.mkdir(parents=True, exist_ok=True)
    pointer.parent.mkdir(parents=True, exist_ok=True)
    try:
        with part.open("wb") as output:
            for piece in archive.pieces(file.member):
                output.write(piece)
                yield len(piece)
        if not is_as_published(part, file.repo_file):
            raise failures.damaged_archive(archive.path, file.path)
        part.replace(blob)
    finally:
        part.unlink(missing_ok=True)
    pointer.unlink(missing_ok=True)
    pointer.symlink_to(os.path.relpath(blob, pointer.parent))
    cache.trust(revision, file.repo_file)


@contextlib.contextmanager
def _explained(cache: WeightsCache) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise failures.disk(exc, cache.folder) from exc


def _document(path: Path, tar: tarfile.TarFile, member: tarfile.TarInfo, kind: type[_Document]) -> _Document:
    contents = tar.extractfile(member)
    if contents is None or member.size > MOST_LIST_BYTES:
        raise failures.foreign_archive(path)
    try:
        return kind.model_validate_json(contents.read())
    except ValidationError as exc:
        raise failures.foreign_archive(path) from exc


def _begins_as_ours(path: Path) -> bool:
    with path.open("rb") as contents:
        return contents.read(len(LIST)) == LIST.encode()
