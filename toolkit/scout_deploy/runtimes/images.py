"""Makes sure that the images of a deployment are on the Docker host: the engine's pulled, the proxy's built."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scout_deploy.containers.pull import PullProgress, PullReader
from scout_deploy.diagnosis.death import Death
from scout_deploy.errors import ImageError
from scout_deploy.image_history import ImageHistory
from scout_deploy.progress import Tell
from scout_deploy.proxy_image.context import ProxyImage
from scout_deploy.runtimes.docker_answers import Image
from scout_deploy.runtimes.docker_engine import DockerEngine
from scout_deploy.runtimes.docker_errors import DaemonRefusedError
from scout_deploy.silence_alarm import SilenceAlarm

PULL = "pull image"
BUILD = "build proxy image"
_MEBIBYTE = 2**20
_BUILD_LINES = 20


class PullRefusedError(Exception):
    """The image could not be pulled; `death` has the daemon's word on it."""

    def __init__(self, reference: str, reason: str) -> None:
        super().__init__(reason)
        self.reference = reference
        self.death = Death(exit_code=None, error=reason, phase=PULL)


@dataclass(frozen=True)
class Images:
    """The images of one Docker host.

    Args:
        silent_after_s: Seconds without a word of the daemon's that are called a stall.
    """

    engine: DockerEngine
    history: ImageHistory
    silent_after_s: float = 60.0

    def resolve(self, reference: str) -> str:
        """Return what to run for this reference: the digest that it meant at its first pull, where one is kept."""
        return self.history.digest(reference) or reference

    def id_of(self, reference: str) -> str:
        """Return the id of an image that is there; empty where it is not."""
        image = self._find(reference)
        return "" if image is None else image.id

    def find_digest(self, reference: str) -> str:
        """Return what `provide` would run for this reference, and pull nothing: the registry is asked for the digest.

        Raises:
            ImageError: No image can have that name.
            PullRefusedError: It is not there, and the registry does not tell.
        """
        if (kept := self.history.digest(reference)) is not None:
            return kept
        if (image := self._find(reference)) is not None:
            return _digest_of(reference, image) or image.id
        try:
            return f"{_repository(reference)}@{self.engine.registry_digest(reference)}"
        except DaemonRefusedError as exc:
            raise PullRefusedError(reference, exc.reason) from exc

    def provide(self, reference: str, tell: Tell, pinned: str | None = None) -> str:
        """Pull an image that is not there, and return what to run.

        Args:
            pinned: The digest to run, whatever the reference meant before.

        Raises:
            ImageError: No image can have that name.
            PullRefusedError: It is not there and cannot be pulled.
        """
        wanted = pinned or self.resolve(reference)
        image = self._find(wanted)
        if image is None and wanted != reference and (local := self.engine.image(reference)) is not None:
            # Loaded from an archive, which carries no digest.
            image = local if not local.digests else None
        if image is None:
            self._pull(wanted, tell)
            image = self.engine.image(wanted)
        if image is None:
            raise PullRefusedError(reference, f"the daemon does not have {wanted} after its pull")
        return pinned if pinned in image.digests else self._keep(reference, image)

    def _find(self, reference: str) -> Image | None:
        try:
            return self.engine.image(reference)
        except DaemonRefusedError as exc:
            if "invalid reference format" not in exc.reason:
                raise
            raise ImageError(
                f"{reference!r} cannot be the name of an image: {exc.reason}",
                next_step="write it as registry/repository:tag, in lower case",
            ) from exc

    def provide_proxy(self, proxy: ProxyImage, tell: Tell) -> str:
        """Build the proxy's image unless it is there, and return its tag.

        Raises:
            ImageError: It cannot be built.
        """
        if self.engine.image(proxy.tag) is not None:
            return proxy.tag
        tell(BUILD, f"{proxy.tag} on {proxy.base_image}")
        said: list[str] = []
        try:
            events = self.engine.build(proxy.context_tar, tag=proxy.tag, arguments=proxy.build_arguments)
            for event in self._heard(events, "a download of the build, or the Docker host", tell):
                said.extend(str(event.get("stream", "")).splitlines())
                if "error" in event:
                    raise _build_failed(proxy, str(event["error"]), said)
        except DaemonRefusedError as exc:
            raise _build_failed(proxy, exc.reason, said) from exc
        return proxy.tag

    def _pull(self, reference: str, tell: Tell) -> None:
        tell(PULL, reference)
        reader = PullReader()
        try:
            for event in self._heard(self.engine.pull(reference), "the registry, or the Docker host's network", tell):
                progress = reader.read(event)
                tell(PULL, _words(reference, progress), percent=progress.percent)
                if reader.error is not None:
                    raise PullRefusedError(reference, reader.error)
        except DaemonRefusedError as exc:
            raise PullRefusedError(reference, exc.reason) from exc

    def _heard(self, events: Iterator[dict[str, Any]], likely: str, tell: Tell) -> Iterator[dict[str, Any]]:
        def say(silent_s: float) -> None:
            tell(
                "note", f"stalled: the Docker daemon said nothing for {silent_s:.0f} s; likely {likely}; still waiting"
            )

        with SilenceAlarm(self.silent_after_s, say) as alarm:
            for event in events:
                alarm.touch()
                yield event

    def _keep(self, reference: str, image: Image) -> str:
        digest = _digest_of(reference, image)
        if digest is None:
            # It was built or loaded here; its id is the only thing that cannot move.
            return image.id
        if self.history.digest(reference) is None:
            self.history.keep(reference, digest)
        return digest


def _digest_of(reference: str, image: Image) -> str | None:
    prefix = f"{_repository(reference)}@"
    return next((one for one in image.digests if one.startswith(prefix)), None)


def _repository(reference: str) -> str:
    """Return the repository as Docker names it in digests: Docker Hub's host and its own `library` left out."""
    host, slash, name = reference.partition("@")[0].rpartition("/")
    repository = f"{host}{slash}{name.partition(':')[0]}"
    return repository.removeprefix("docker.io/").removeprefix("library/")


def _words(reference: str, progress: PullProgress) -> str:
    if not progress.total_bytes:
        return reference
    doing = "unpacking, " if progress.done_bytes >= progress.total_bytes and progress.is_extracting else ""
    return (
        f"{doing}{progress.done_bytes / _MEBIBYTE:.0f} of {progress.total_bytes / _MEBIBYTE:.0f} MiB, "
        f"layer {progress.layers_done} of {progress.layers}"
    )


def _build_failed(proxy: ProxyImage, reason: str, said: list[str]) -> ImageError:
    return ImageError(
        f"the proxy's image cannot be built on {proxy.base_image}: {reason}",
        next_step="--set proxy.base_image=IMAGE names another image with Python 3.11 or newer, --set proxy.image=IMAGE "
        "one that was built elsewhere",
        evidence=tuple(line for line in said if line.strip())[-_BUILD_LINES:],
    )
