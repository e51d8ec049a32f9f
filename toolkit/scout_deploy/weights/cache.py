"""The weights that are on this disk, in huggingface_hub's cache; nothing here asks the network."""

import contextlib
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from scout_deploy.errors import WeightsError
from scout_deploy.weights.files import needed_files
from scout_deploy.weights.place import is_commit, repository_folder_name
from scout_deploy.weights.repository import RepoFile, Revision

# Ours, inside the repository's folder: which files a snapshot has when it is whole, and which are not checked yet.
OWN_FOLDER = ".scout-deploy"
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tokenizer_config.json", "spiece.model")


@dataclass(frozen=True, kw_only=True)
class WeightsCache:
    """huggingface_hub's cache folder, which need not exist yet."""

    folder: Path

    def snapshot(self, model_id: str, commit: str) -> Path:
        """Return the folder of a commit's files, there or not."""
        return self._repository(model_id) / "snapshots" / commit

    def commit(self, model_id: str, revision: str) -> str | None:
        """Return the commit that a branch or tag was when it was last fetched; a commit is itself."""
        if is_commit(revision):
            return revision
        if ".." in Path(revision).parts:
            return None
        try:
            commit = (self._repository(model_id) / "refs" / revision).read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            return None
        return commit if is_commit(commit) else None

    def find(self, model_id: str, revision: str) -> Path | None:
        """Return the snapshot if every file that an engine needs is there, at its full size."""
        commit = self.commit(model_id, revision)
        if commit is None:
            return None
        snapshot = self.snapshot(model_id, commit)
        listed = self._listed(model_id, commit)
        if listed is not None:
            whole = all(
                _size(snapshot / path) == size and not self._doubt(model_id, (snapshot / path).resolve().name).exists()
                for path, size in listed.items()
            )
        else:
            whole = _looks_whole(model_id, snapshot)
        return snapshot if whole else None

    def has(self, revision: Revision, file: RepoFile) -> bool:
        """Whether the file is there under its final name, at its full size, and no check of it was broken off."""
        return self.is_there(revision, file) and not self._doubt(revision.model_id, file.blob).exists()

    def is_there(self, revision: Revision, file: RepoFile) -> bool:
        """Whether the file is there under its final name, at its full size."""
        return _size(self.pointer(revision, file)) == file.size_bytes

    def doubt(self, revision: Revision, file: RepoFile) -> None:
        """Remember that a file is about to come and is not checked: a kill may fall between its name and its check."""
        _write(self._doubt(revision.model_id, file.blob), "")

    def trust(self, revision: Revision, file: RepoFile) -> None:
        """Forget a doubt: the file has been checked."""
        self._doubt(revision.model_id, file.blob).unlink(missing_ok=True)

    def pointer(self, revision: Revision, file: RepoFile) -> Path:
        """Return the file's place in the snapshot: a link to its contents."""
        return self.snapshot(revision.model_id, revision.commit) / file.path

    def incomplete(self, revision: Revision, file: RepoFile) -> Path:
        """Return where huggingface_hub collects a file until it is whole."""
        return self._repository(revision.model_id) / "blobs" / f"{file.blob}.incomplete"

    def present_bytes(self, revision: Revision, file: RepoFile) -> int:
        """Return how much of a file is there, under either name."""
        if self.is_there(revision, file) or _size(self.blob(revision, file)) == file.size_bytes:
            return file.size_bytes
        return min(file.size_bytes, _size(self.incomplete(revision, file)) or 0)

    def remove(self, revision: Revision, file: RepoFile) -> None:
        """Remove a file, and what came of it, so that it is fetched anew."""
        for path in (
            self.pointer(revision, file),
            self.blob(revision, file),
            self.incomplete(revision, file),
        ):
            path.unlink(missing_ok=True)

    def turn_lock(self, model_id: str) -> Path:
        """Return the file that whoever changes a repository's folder holds."""
        return self._repository(model_id) / OWN_FOLDER / "lock"

    def write_list(self, revision: Revision, files: Iterable[RepoFile]) -> None:
        """Remember which files make the snapshot whole. A cache that cannot be written may still be whole."""
        lists = self._repository(revision.model_id) / OWN_FOLDER
        _write(lists / f"{revision.commit}.json", json.dumps({file.path: file.size_bytes for file in files}, indent=1))

    def write_reference(self, revision: Revision) -> None:
        """Remember which commit a branch or tag is, as huggingface_hub does, for a later time without network."""
        if not is_commit(revision.name) and ".." not in Path(revision.name).parts:
            _write(self._repository(revision.model_id) / "refs" / revision.name, revision.commit)

    def _repository(self, model_id: str) -> Path:
        return self.folder / repository_folder_name(model_id)

    def blob(self, revision: Revision, file: RepoFile) -> Path:
        """Return the place of a file's contents, which its pointer leads to."""
        return self._repository(revision.model_id) / "blobs" / file.blob

    def _doubt(self, model_id: str, blob: str) -> Path:
        return self._repository(model_id) / OWN_FOLDER / f"{blob}.unchecked"

    def _listed(self, model_id: str, commit: str) -> dict[str, int] | None:
        try:
            listed = json.loads((self._repository(model_id) / OWN_FOLDER / f"{commit}.json").read_bytes())
        except (OSError, ValueError):
            return None
        return listed if isinstance(listed, dict) and listed else None


def is_as_published(path: Path, file: RepoFile) -> bool:
    """Whether a file's contents have the checksum that the hub announced, by SHA-256 or as git counts it."""
    with path.open("rb") as contents:
        if file.sha256 is not None:
            return hashlib.file_digest(contents, "sha256").hexdigest() == file.sha256
        # Not for security: git names small files so, and the hub announces nothing else for them.
        digest = hashlib.sha1(b"blob %d\0" % file.size_bytes, usedforsecurity=False)
        while piece := contents.read(1 << 20):
            digest.update(piece)
        return digest.hexdigest() == file.git_oid


def _looks_whole(model_id: str, snapshot: Path) -> bool:
    """Judge a snapshot that another program fetched, of which nobody wrote down what it should hold."""
    try:
        there = [
            RepoFile(path=path.name, size_bytes=size)
            for path in snapshot.iterdir()
            if (size := _size(path)) is not None
        ]
        names = {file.path for file in needed_files(model_id, there)}
    except (OSError, WeightsError):
        return False
    return "config.json" in names and not names.isdisjoint(_TOKENIZERS) and _indexed(snapshot) <= names


def _indexed(snapshot: Path) -> set[str]:
    try:
        index = json.loads((snapshot / "model.safetensors.index.json").read_bytes())
        return set(index["weight_map"].values())
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return set()


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.part")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
