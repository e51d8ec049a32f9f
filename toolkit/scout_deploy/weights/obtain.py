"""From a model's name to a folder that an engine can load, with the network or without."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from scout_deploy.weights.failures import HubUnreachableError
from scout_deploy.weights.files import needed_files
from scout_deploy.weights.place import is_commit
from scout_deploy.weights.repository import DownloadProgress, RepoFile, Revision
from scout_deploy.weights.soundness import check_snapshot


class WeightsSource(Protocol):
    """The part of the hub that this needs."""

    def resolve(self, model_id: str, revision: str) -> Revision:
        """Ask which commit a revision is now."""
        ...

    def find_cached(self, model_id: str, revision: str) -> Path | None:
        """Return a snapshot that is whole on this disk."""
        ...

    def download(
        self, revision: Revision, files: tuple[RepoFile, ...], on_progress: Callable[[DownloadProgress], None]
    ) -> Path:
        """Fetch what is missing."""
        ...


def obtain(
    source: WeightsSource,
    model_id: str,
    revision: str,
    on_progress: Callable[[DownloadProgress], None],
    *,
    with_code: bool = False,
) -> Path:
    """Return the snapshot's folder, whose name is the commit; fetch what an engine needs and is not there.

    Whatever it comes from, it is checked that its indexes and headers can be read.

    A commit that is whole on this disk is taken without asking anybody. A branch or tag is asked for, since it may have
    moved; where nobody answers, it is what it was when it was last fetched.

    Raises:
        WeightsError: The weights cannot be had, or are damaged as they were published.
    """
    snapshot = _snapshot(source, model_id, revision, on_progress, with_code=with_code)
    check_snapshot(snapshot)
    return snapshot


def _snapshot(
    source: WeightsSource,
    model_id: str,
    revision: str,
    on_progress: Callable[[DownloadProgress], None],
    *,
    with_code: bool,
) -> Path:
    cached = source.find_cached(model_id, revision)
    if cached is not None and is_commit(revision):
        return cached
    try:
        now = source.resolve(model_id, revision)
    except HubUnreachableError:
        if cached is None:
            raise
        return cached
    return source.download(now, needed_files(model_id, now.files, with_code=with_code), on_progress)
