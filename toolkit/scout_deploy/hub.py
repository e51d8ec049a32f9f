"""The model hub, asked with huggingface_hub: the only file of the toolkit that imports it.

huggingface_hub (0.36) reads some of the environment once, when it is imported: HF_ENDPOINT, HF_HUB_OFFLINE, the
timeouts and the cache's place. That is the operator's own wish for every program that uses the hub, and the command
line is one process for one command, so it is followed; what the toolkit decides itself (endpoint, cache, token) is
passed with each call.
"""

import contextlib
import json
import logging
import struct
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import huggingface_hub
import requests
from huggingface_hub import constants, errors
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils.logging import set_verbosity
from huggingface_hub.utils.tqdm import disable_progress_bars

from scout_deploy.errors import WeightsError
from scout_deploy.fit.tensor import Tensor, UnusableFactsError, tensor_of
from scout_deploy.hub_errors import Explainer
from scout_deploy.hub_session import HubSession
from scout_deploy.weights import failures
from scout_deploy.weights.cache import WeightsCache
from scout_deploy.weights.download import RETRY_PAUSES_S, Download, OnProgress, free_bytes
from scout_deploy.weights.place import is_commit
from scout_deploy.weights.repository import DEFAULT_REVISION, RepoFile, Revision
from scout_proxy.version import __version__

USER_AGENT = f"scout-deploy/{__version__}"
CONFIG = "config.json"
_API_TIMEOUT_S = 30.0


def find_token() -> str | None:
    """Return the operator's token: HF_TOKEN, or what `hf auth login` keeps; None where there is neither.

    Raises:
        WeightsError: The kept token cannot be read.
    """
    try:
        return huggingface_hub.get_token()
    except (OSError, ValueError) as exc:
        raise WeightsError(
            f"the token in {constants.HF_TOKEN_PATH} cannot be read: {exc.__class__.__name__}",
            next_step="give this user the file, or set HF_TOKEN",
        ) from exc


class Hub:
    """The hub, and the cache on this disk. One download at a time in a process.

    Args:
        cache: huggingface_hub's cache folder; need not exist.
        endpoint: Such as `https://huggingface.co`; None for HF_ENDPOINT, or else that.
        token: None to ask as nobody; it is never looked up here.
        free_bytes: Tells the free space of the disk that a folder is on.
        retry_pauses_s: Seconds before each further try of a file that got no byte since the last one.

    Raises:
        WeightsError: The token is not one.
    """

    def __init__(
        self,
        *,
        cache: Path,
        endpoint: str | None = None,
        token: str | None = None,
        user_agent: str = USER_AGENT,
        free_bytes: Callable[[Path], int] = free_bytes,
        retry_pauses_s: Sequence[float] = RETRY_PAUSES_S,
    ) -> None:
        token = (token or "").strip()
        if token and not (token.isascii() and token.isprintable() and " " not in token):
            raise failures.unusable_token("HF_TOKEN, or the file for it,")
        self._token = token
        self._endpoint = (endpoint or constants.ENDPOINT).rstrip("/")
        self._user_agent = user_agent
        self._free_bytes = free_bytes
        self._retry_pauses_s = retry_pauses_s
        self._cache = WeightsCache(folder=cache)
        self._explainer = Explainer(endpoint=self._endpoint, token=token, folder=cache)
        _be_quiet()

    def resolve(self, model_id: str, revision: str = DEFAULT_REVISION) -> Revision:
        """Ask which commit a branch or tag is now, and which files it has. Needs no access to a gated repository.

        Raises:
            HubUnreachableError: Nobody answers.
            WeightsError: There is no such repository or revision, or the token is wrong.
        """
        self._connect(threading.Event())
        with self._explained(model_id, revision):
            info = huggingface_hub.HfApi(
                endpoint=self._endpoint, token=self._token or False, user_agent=self._user_agent
            ).model_info(model_id, revision=revision, files_metadata=True, timeout=_API_TIMEOUT_S)
            files = tuple(self._file(sibling) for sibling in info.siblings or ())
            if info.sha is None or not is_commit(info.sha):
                raise failures.not_a_hub(self._endpoint, "it names no commit")
        return Revision(model_id=model_id, name=revision, commit=info.sha, files=files, gated=bool(info.gated))

    def read_config(self, model_id: str, revision: str = DEFAULT_REVISION) -> dict[str, object]:
        """Return the model's `config.json`, fetched now or in the cache already; without network, as last seen.

        Raises:
            HubUnreachableError: Nobody answers, and it was never seen.
            WeightsError: There is no such repository, revision or file, it is gated, or the file is not JSON.
        """
        try:
            commit = revision if is_commit(revision) else self.resolve(model_id, revision).commit
        except failures.HubUnreachableError:
            seen = self._cache.commit(model_id, revision)
            if seen is None:
                raise
            commit = seen
        path = self._cache.snapshot(model_id, commit) / CONFIG
        if not path.exists():
            self._connect(threading.Event())
            self._fetch(model_id, commit, CONFIG)
        if self._cache.commit(model_id, revision) is None:
            self._cache.write_reference(Revision(model_id=model_id, name=revision, commit=commit, files=()))
        return _parsed(path)

    def fetch_small(self, revision: Revision, path: str) -> Path:
        """Return where a small file is in the cache, fetched now or there already.

        Raises:
            HubUnreachableError: Nobody answers.
            WeightsError: The repository is gated, or has no such file.
        """
        place = self._cache.snapshot(revision.model_id, revision.commit) / path
        if not place.exists():
            self._connect(threading.Event())
            self._fetch(revision.model_id, revision.commit, path)
        return place

    def read_tensors(self, revision: Revision, file: RepoFile) -> tuple[Tensor, ...]:
        """Return the tensors of a safetensors file, read off its header alone.

        Raises:
            HubUnreachableError: Nobody answers.
            WeightsError: The repository is gated, or the file's header is damaged.
        """
        self._connect(threading.Event())
        api = huggingface_hub.HfApi(endpoint=self._endpoint, token=self._token or False, user_agent=self._user_agent)
        try:
            with self._explained(revision.model_id, revision.commit):
                header = api.parse_safetensors_file_metadata(
                    revision.model_id, file.path, revision=revision.commit, token=self._token or False
                )
            return tuple(tensor_of(name, one.dtype, one.shape, place=file.path) for name, one in header.tensors.items())
        except (errors.SafetensorsParsingError, struct.error, UnusableFactsError, RecursionError) as exc:
            raise WeightsError(
                f"{file.path} of {revision.model_id} is no usable safetensors file: {_plain(exc)}",
                next_step="choose another revision, or tell the repository's owners",
            ) from exc

    def find_cached(self, model_id: str, revision: str = DEFAULT_REVISION) -> Path | None:
        """Return the snapshot's folder if all that an engine needs is on this disk. Asks nobody."""
        return self._cache.find(model_id, revision)

    def download(self, revision: Revision, files: Sequence[RepoFile], on_progress: OnProgress) -> Path:
        """Fetch files into the cache, going on where an earlier download ended; return the snapshot's folder.

        `on_progress` is called in this thread, at least once a second. What arrives is compared with the checksums that
        the hub announces. After Ctrl-C no file has its final name that is not whole.

        Raises:
            HubUnreachableError: The connection broke, and further tries did not help.
            WeightsError: The disk is too small or full, the repository is gated, or what came is not as announced.
        """
        cancelled = threading.Event()
        self._connect(cancelled)
        return Download(
            cache=self._cache,
            revision=revision,
            files=files,
            fetch=lambda file: self._fetch(revision.model_id, revision.commit, file.path),
            cancelled=cancelled,
            free_bytes=self._free_bytes,
            retry_pauses_s=self._retry_pauses_s,
        ).run(on_progress)

    def _connect(self, cancelled: threading.Event) -> None:
        def session() -> requests.Session:
            return HubSession(cancelled, refusal=_offline_refusal())

        # The documented way to choose how huggingface_hub speaks HTTP. It is one for the process: each call of ours
        # that asks the hub sets its own before.
        huggingface_hub.configure_http_backend(backend_factory=session)

    def _fetch(self, model_id: str, commit: str, path: str) -> None:
        with self._explained(model_id, commit, path), _ended():
            huggingface_hub.hf_hub_download(
                model_id,
                path,
                revision=commit,
                cache_dir=self._cache.folder,
                endpoint=self._endpoint,
                # None would look for a token; whoever made this hub has decided.
                token=self._token or False,
                user_agent=self._user_agent,
            )

    def _file(self, sibling: RepoSibling) -> RepoFile:
        size = sibling.lfs.size if sibling.lfs else sibling.size
        sha256, oid = (sibling.lfs.sha256 if sibling.lfs else None), sibling.blob_id or ""
        names = sha256 if sha256 is not None else oid
        if size is None or not names.isalnum():
            raise failures.not_a_hub(self._endpoint, f"it tells no size or checksum of {sibling.rfilename}")
        return RepoFile(path=sibling.rfilename, size_bytes=size, sha256=sha256, git_oid=oid)

    @contextlib.contextmanager
    def _explained(self, model_id: str, revision: str, path: str | None = None) -> Iterator[None]:
        try:
            yield
        except errors.LocalEntryNotFoundError as exc:
            # Raised instead of what really happened, which it then names as its cause.
            raise self._explain(exc.__cause__ or exc, model_id, revision, path) from exc
        except (OSError, ValueError) as exc:
            raise self._explain(exc, model_id, revision, path) from exc

    def _explain(self, error: BaseException, model_id: str, revision: str, path: str | None) -> WeightsError:
        has_token = bool(self._token)
        # The first that fits: some are kinds of later ones.
        explanations: tuple[tuple[type[Exception], Callable[[], WeightsError]], ...] = (
            (errors.GatedRepoError, lambda: failures.gated(model_id, has_token=has_token)),
            (errors.RepositoryNotFoundError, lambda: failures.unknown_repository(model_id, has_token=has_token)),
            (errors.RevisionNotFoundError, lambda: failures.unknown_revision(model_id, revision)),
            (errors.OfflineModeIsEnabled, failures.offline),
            (errors.EntryNotFoundError, lambda: failures.no_such_file(model_id, revision, path)),
            (errors.HFValidationError, lambda: failures.bad_model_id(model_id)),
            (errors.FileMetadataError, lambda: failures.not_a_hub(self._endpoint, "it tells no checksum of a file")),
        )
        for kind, explanation in explanations:
            if isinstance(error, kind):
                return explanation()
        return self._explainer.explain(error, model_id)


@contextlib.contextmanager
def _ended() -> Iterator[None]:
    """End what the library leaves open of a file that it could not write, such as where the disk is full."""
    try:
        yield
    finally:
        # This thread's own, which the library keeps for it.
        session = huggingface_hub.get_session()
        if isinstance(session, HubSession):
            session.end_last()


def _plain(error: Exception) -> str:
    # The library puts the file's, the repository's and the commit's names before what is wrong.
    return str(error).rpartition("'): ")[2].rstrip(".")


def _offline_refusal() -> Exception | None:
    return errors.OfflineModeIsEnabled("HF_HUB_OFFLINE is set") if constants.HF_HUB_OFFLINE else None


def _be_quiet() -> None:
    # Its warnings and bars would go to standard error, across the toolkit's own view of the same things.
    set_verbosity(logging.ERROR)
    # It warns of a disk that has less free than a file takes, what is there of the file already not counted; what is
    # missing of all files was held against the disk before.
    warnings.filterwarnings("ignore", message="Not enough free disk space", category=UserWarning)
    if constants.HF_HUB_DISABLE_PROGRESS_BARS is not False:
        disable_progress_bars()


def _parsed(path: Path) -> dict[str, object]:
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as exc:
        raise WeightsError(
            f"{path} cannot be read as JSON: {exc}", next_step=f"remove it and try again: {path}"
        ) from exc
    if not isinstance(config, dict):
        raise WeightsError(f"{path} holds no JSON object", next_step="choose another repository or revision")
    return config
