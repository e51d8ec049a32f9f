"""Weights, and images, as one file for a machine without network: a tar that says at its beginning what it holds.

The first member is the list of all others with their checksums; the last one has the checksums of the images, which are
only known when they have been read. Any program that reads tar archives can look inside.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from scout_deploy.weights.repository import RepoFile

LIST = "scout-deploy.json"
END = "scout-deploy-end.json"
# Beyond what any list of a model's files takes.
MOST_LIST_BYTES = 16_000_000

_HEX = "^[0-9a-f]+$"
_NAME = "^[A-Za-z0-9_][A-Za-z0-9._-]*$"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ArchivedFile(_Frozen):
    """One file of the model; its name is one of the top folder, as an engine reads no other."""

    path: Annotated[str, Field(pattern=_NAME)]
    size_bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str | None, Field(pattern=_HEX, min_length=64, max_length=64)] = None
    git_oid: Annotated[str, Field(pattern="^[0-9a-f]*$", max_length=40)] = ""

    @property
    def member(self) -> str:
        """Its name in the archive."""
        return f"weights/{self.path}"

    @property
    def repo_file(self) -> RepoFile:
        """The same as the cache knows it."""
        return RepoFile(path=self.path, size_bytes=self.size_bytes, sha256=self.sha256, git_oid=self.git_oid)


class ArchivedImage(_Frozen):
    """An image, as `docker save` writes it."""

    reference: str
    member: Annotated[str, Field(pattern="^images/[0-9]+\\.tar$")]


class ArchiveList(_Frozen):
    """What an archive holds.

    Args:
        version: The product's that wrote it.
    """

    format: Literal["scout-deploy archive 1"] = "scout-deploy archive 1"
    version: str
    model_id: Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$")]
    revision: Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._/-]*$")]
    commit: Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
    files: Annotated[tuple[ArchivedFile, ...], Field(min_length=1)]
    images: tuple[ArchivedImage, ...] = ()

    @property
    def members(self) -> set[str]:
        """The names of all members that it speaks of."""
        return {*(one.member for one in self.files), *(one.member for one in self.images)}


class ArchiveEnd(_Frozen):
    """What is known only when the images have been read: their SHA-256, by member."""

    sha256: dict[str, str]
