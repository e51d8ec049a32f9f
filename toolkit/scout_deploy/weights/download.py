"""A download of many files: space beforehand, progress while it runs, another try after a cut, checksums after."""

import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from scout_deploy.weights import failures
from scout_deploy.weights.cache import WeightsCache, is_as_published
from scout_deploy.weights.repository import DownloadProgress, RepoFile, Revision
from scout_deploy.weights.soundness import INDEX_SUFFIX, check_index
from scout_deploy.weights.turn import turn
from scout_deploy.weights.workers import Workers

OnProgress = Callable[[DownloadProgress], None]

# Of one file, without a byte in between; longer than a router takes to start again.
RETRY_PAUSES_S = (1.0, 5.0, 15.0, 45.0)
PROGRESS_EVERY_S = 0.25
_FILES_AT_A_TIME = 6
# A thread that waits for a silent server notices when its read ends, which nobody should have to wait for.
_STOP_WITHIN_S = 2.0


def free_bytes(folder: Path) -> int:
    """Return the free space of the disk that a folder is on, or will be on."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free


class Download:
    """Fetches files of one revision into the cache.

    Args:
        fetch: Brings one file under its final name, going on from what is there of it; raises `HubUnreachableError`
            where another try may help, and `DownloadCancelledError` soon after `cancelled` is set.
        cancelled: Set when the download ends before its time.
        free_bytes: Tells the free space of the disk that a folder is on.
        retry_pauses_s: Seconds before each further try of a file that got no byte since the last one.
    """

    def __init__(
        self,
        *,
        cache: WeightsCache,
        revision: Revision,
        files: Sequence[RepoFile],
        fetch: Callable[[RepoFile], None],
        cancelled: threading.Event,
        free_bytes: Callable[[Path], int] = free_bytes,
        retry_pauses_s: Sequence[float] = RETRY_PAUSES_S,
    ) -> None:
        self._cache = cache
        self._revision = revision
        self._files = files
        self._fetch = fetch
        self._cancelled = cancelled
        self._free_bytes = free_bytes
        self._retry_pauses_s = retry_pauses_s
        self._total_bytes = sum(file.size_bytes for file in files)
        self._most_bytes = 0
        # One value, as threads set it: how often, and why last.
        self._trouble: tuple[int, str | None] = (0, None)

    def run(self, on_progress: OnProgress) -> Path:
        """Fetch what is missing and return the snapshot's folder, when it is this command's turn.

        Raises:
            WeightsError: Something cannot be had; what came so far is kept for the next time.
        """
        lock = self._cache.turn_lock(self._revision.model_id)

        def waiting(holder: str) -> None:
            on_progress(self._progress((), waits_for=holder))

        with turn(lock, waiting=waiting, cancelled=self._cancelled, every_s=PROGRESS_EVERY_S):
            self._fetch_missing(on_progress)
        return self._cache.snapshot(self._revision.model_id, self._revision.commit)

    def _fetch_missing(self, on_progress: OnProgress) -> None:
        missing = [file for file in self._files if not self._cache.has(self._revision, file)]
        self._check_space(missing)
        self._cache.write_list(self._revision, self._files)
        on_progress(self._progress(()))
        # What speaks against the weights is in the small files, and should be known before gigabytes come.
        self._work_off([file for file in missing if not file.is_weights], on_progress)
        self._check_indexes()
        self._work_off([file for file in missing if file.is_weights], on_progress)
        self._cache.write_reference(self._revision)
        on_progress(DownloadProgress(done_bytes=self._total_bytes, total_bytes=self._total_bytes))

    def _work_off(self, files: Sequence[RepoFile], on_progress: OnProgress) -> None:
        workers = Workers(files, self._obtain, count=_FILES_AT_A_TIME, cancelled=self._cancelled)
        workers.start()
        try:
            while not workers.wait(PROGRESS_EVERY_S):
                on_progress(self._progress(workers.running()))
        except BaseException:
            workers.stop(_STOP_WITHIN_S)
            raise

    def _check_indexes(self) -> None:
        names = {file.path for file in self._files}
        for file in self._files:
            if file.path.endswith(INDEX_SUFFIX):
                check_index(self._cache.pointer(self._revision, file), names)

    def _check_space(self, missing: Sequence[RepoFile]) -> None:
        needed = sum(file.size_bytes - self._cache.present_bytes(self._revision, file) for file in missing)
        free = self._free_bytes(self._cache.folder)
        if needed > free:
            raise failures.disk_too_small(self._cache.folder, needed_bytes=needed, free_bytes=free)

    def _progress(self, running: Sequence[RepoFile], waits_for: str | None = None) -> DownloadProgress:
        # huggingface_hub below 1.0 tells no bytes to its caller (only files, by `tqdm_class`): the disk does.
        done = sum(self._cache.present_bytes(self._revision, file) for file in self._files)
        self._most_bytes = max(self._most_bytes, done)
        retries, trouble = self._trouble
        return DownloadProgress(
            done_bytes=self._most_bytes,
            total_bytes=self._total_bytes,
            file=running[0].path if running else None,
            waits_for=waits_for,
            retries=retries,
            trouble=trouble,
        )

    def _obtain(self, file: RepoFile) -> None:
        path = self._cache.pointer(self._revision, file)
        if self._cache.is_there(self._revision, file) and is_as_published(path, file):
            # An earlier download was ended before it had checked this one.
            self._cache.trust(self._revision, file)
            return
        if path.exists():
            # A copy that broke off or went bad, which would be taken as it is.
            self._cache.remove(self._revision, file)
        self._cache.doubt(self._revision, file)
        self._fetch_patiently(file)
        wrong = self._what_is_wrong(path, file)
        if wrong is not None:
            self._cache.remove(self._revision, file)
            raise failures.not_as_published(file.path, wrong)
        self._cache.trust(self._revision, file)

    def _what_is_wrong(self, path: Path, file: RepoFile) -> str | None:
        if not self._cache.is_there(self._revision, file):
            return "size"
        return None if is_as_published(path, file) else "checksum"

    def _fetch_patiently(self, file: RepoFile) -> None:
        pauses = iter(self._retry_pauses_s)
        before = self._cache.present_bytes(self._revision, file)
        while True:
            try:
                return self._fetch(file)
            except failures.HubUnreachableError as exc:
                if (came := self._cache.present_bytes(self._revision, file)) > before:
                    before = came
                    pauses = iter(self._retry_pauses_s)
                if (pause_s := next(pauses, None)) is None:
                    raise
                self._trouble = (self._trouble[0] + 1, _again(file, came, exc, pause_s))
                if self._cancelled.wait(pause_s):
                    raise failures.DownloadCancelledError from None
                self._drop_excess(file)

    def _drop_excess(self, file: RepoFile) -> None:
        incomplete = self._cache.incomplete(self._revision, file)
        if incomplete.exists() and incomplete.stat().st_size > file.size_bytes:
            # More than the whole: no range of the file could ever complete it.
            incomplete.unlink()


def _again(file: RepoFile, came_bytes: int, error: failures.HubUnreachableError, pause_s: float) -> str:
    here = f"{failures.size(came_bytes)} of its {failures.size(file.size_bytes)} are here"
    return f"{file.path}: {error.message}; {here}, going on in {pause_s:.0f} s"
