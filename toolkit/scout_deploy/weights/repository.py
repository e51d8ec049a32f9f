"""A model's repository on the hub, as it was at one commit."""

from dataclasses import dataclass

DEFAULT_REVISION = "main"


@dataclass(frozen=True, kw_only=True)
class RepoFile:
    """One file of a repository.

    Args:
        path: Inside the repository, with `/`.
        size_bytes: As the hub says.
        sha256: Of the contents, in hex; None for a small file, which lies in git itself and not in its large file
            storage.
        git_oid: Git's name for the contents, in hex; of a large file, of the pointer that git keeps instead.
    """

    path: str
    size_bytes: int
    sha256: str | None = None
    git_oid: str = ""

    @property
    def blob(self) -> str:
        """The name of its contents in the hub's cache: the ETag that the hub answers with."""
        return self.sha256 or self.git_oid

    @property
    def is_weights(self) -> bool:
        """Whether it holds tensors, and is large."""
        return self.path.endswith(".safetensors")


@dataclass(frozen=True, kw_only=True)
class Revision:
    """What a branch, a tag or a commit of a repository was when the hub was asked.

    Args:
        model_id: Such as `meta-llama/Llama-4-Scout-17B-16E-Instruct`.
        name: What was asked for: a branch, a tag or a commit.
        commit: 40 hex digits.
        files: All of them, needed or not.
        gated: Whether the owners grant access account by account.
    """

    model_id: str
    name: str
    commit: str
    files: tuple[RepoFile, ...]
    gated: bool = False


@dataclass(frozen=True, kw_only=True)
class DownloadProgress:
    """How far a download is.

    Args:
        done_bytes: Of all files together, what was there before included; never falls.
        total_bytes: Of all files together.
        file: One that is on its way now; None before the first and after the last.
        waits_for: Which other command fetches the same model now, so that this one waits.
        retries: How often a file was tried again so far, because nobody answered or the connection broke.
        trouble: Why it was tried again last, and when it goes on.
    """

    done_bytes: int
    total_bytes: int
    file: str | None = None
    waits_for: str | None = None
    retries: int = 0
    trouble: str | None = None
