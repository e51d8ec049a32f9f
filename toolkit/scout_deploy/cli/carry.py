"""`scout-deploy pull --export` and `--import`: weights and images on their way to a machine without network."""

import os
from collections.abc import Iterator
from pathlib import Path

from scout_deploy.cli.context import container_runtime
from scout_deploy.cli.pulled import Pulled
from scout_deploy.cli.up_containers import preparation
from scout_deploy.container_draft import Wish, refuse_what_cannot_work
from scout_deploy.errors import DockerUnavailableError, LockDifferenceError, WeightsError
from scout_deploy.progress import Tell
from scout_deploy.runtimes.carried_images import CarriedImages
from scout_deploy.runtimes.docker_engine import DockerEngine, daemon_address
from scout_deploy.weights.archive import ArchivedImage, ArchiveList
from scout_deploy.weights.cache import WeightsCache
from scout_deploy.weights.export import archived_files, write_archive
from scout_deploy.weights.place import cache_folder
from scout_deploy.weights.unpack import Archive, open_archive, unpack_weights
from scout_deploy.weights_meter import Meter
from scout_proxy.version import __version__

EXPORT, UNPACK, IMPORT_IMAGE = "write archive", "unpack weights", "load image"
_MEGABYTE = 1e6
_TELL_EVERY_BYTES = 50_000_000


def require_local() -> None:
    """Refuse where the weights lie on another machine.

    Raises:
        WeightsError: They do.
    """
    address = daemon_address(os.environ)
    if not address.is_local:
        raise WeightsError(
            f"the Docker host is another machine ({address.url}), and its weights are there",
            next_step="run the same command on that machine",
        )


def check_target(target: Path) -> None:
    """Refuse an archive's place before anything is fetched for it.

    Raises:
        WeightsError: The file is there already, or its folder is not.
    """
    if target.exists():
        raise WeightsError(f"{target} is there already", next_step="name another file, or remove it")
    folder = target.absolute().parent
    if not folder.is_dir():
        raise WeightsError(
            f"{target} cannot be written: there is no folder {folder}",
            next_step="make the folder, or name a file in another",
        )


def export(wish: Wish, pulled: Pulled, target: Path, tell: Tell, *, with_images: bool) -> int:
    """Write what a pull brought, and the images where Docker is there; return the archive's size.

    Raises:
        DeployError: Something cannot be had, or the file cannot be written.
    """
    if pulled.commit is None or pulled.revision is None:
        raise WeightsError(
            f"{pulled.path} is a directory of yours, which no archive is needed for",
            next_step="copy the directory itself, and name it in model/path",
        )
    snapshot = Path(pulled.path)
    images = _images(wish, tell) if with_images else None
    try:
        carried = () if images is None else images.provide(tell)
        listed = ArchiveList(
            version=__version__,
            model_id=pulled.model,
            revision=pulled.revision,
            commit=pulled.commit,
            files=archived_files(pulled.model, snapshot),
            images=tuple(
                ArchivedImage(reference=one, member=f"images/{number}.tar") for number, one in enumerate(carried)
            ),
        )
        tell(EXPORT, str(target))
        data = [(one, images.save(one.reference)) for one in listed.images] if images is not None else []
        image_bytes = 0 if images is None else sum(map(images.size_bytes, carried))
        write_archive(target, listed, snapshot, data, _Teller(tell, target), image_bytes=image_bytes)
    finally:
        if images is not None:
            images.close()
    return target.stat().st_size


def import_archive(path: Path, wish: Wish | None, tell: Tell) -> tuple[Pulled, tuple[str, ...]]:
    """Put an archive's weights and images in their places; return what came, and the images that were loaded.

    Args:
        wish: Whose model, and locked commit, it has to be; None to take whatever it holds.

    Raises:
        LockDifferenceError: The archive holds another commit than the lock names.
        WeightsError: The archive is none, damaged, or holds another model.
    """
    archive = open_archive(path)
    listed = archive.listed
    if wish is not None and wish.profile.model.id != listed.model_id:
        raise WeightsError(
            f"{path} holds {listed.model_id}, and profile '{wish.profile_name}' serves {wish.profile.model.id}",
            next_step="leave --profile out to take what it holds, or name the archive of that model",
        )
    if wish is not None and (changed := wish.pins.other_commit(listed.commit)):
        raise LockDifferenceError(
            f"{path} is not what the lock of profile '{wish.profile_name}' says:",
            next_step="take the archive that `pull --locked --export` wrote for it, or leave --locked out",
            evidence=changed,
        )
    if listed.version != __version__:
        tell("note", f"scout-deploy {listed.version} wrote it: the proxy's image in it is not the one of {__version__}")
    snapshot = unpack_weights(archive, WeightsCache(folder=cache_folder(os.environ)), Meter(tell, phase=UNPACK).show)
    loaded = _load(archive, tell)
    pulled = Pulled(
        model=listed.model_id,
        revision=listed.revision,
        commit=listed.commit,
        path=str(snapshot),
        files=len(listed.files),
        size_bytes=sum(file.size_bytes for file in listed.files),
    )
    return pulled, loaded


def _images(wish: Wish, tell: Tell) -> CarriedImages | None:
    try:
        runtime = container_runtime()
    except DockerUnavailableError as exc:
        tell("note", f"the archive holds the weights alone: {exc.message}")
        return None
    prepared = preparation(runtime, wish)
    plan = refuse_what_cannot_work(wish, prepared.adapter, prepared.model.expect())
    return CarriedImages(
        engine=runtime.engine,
        images=prepared.images,
        reference=plan.engines[0].image,
        proxy=wish.profile.proxy,
        pins=wish.pins,
    )


def _load(archive: Archive, tell: Tell) -> tuple[str, ...]:
    if not archive.listed.images:
        return ()
    for image in archive.listed.images:
        tell(IMPORT_IMAGE, f"{image.reference}, checking")
        archive.check_image(image)
    try:
        engine = DockerEngine.connect(os.environ)
    except DockerUnavailableError as exc:
        tell("note", f"its images are left where they are: {exc.message}")
        return ()
    try:
        for image in archive.listed.images:
            tell(IMPORT_IMAGE, image.reference)
            engine.load(_shown(archive.pieces(image.member), archive.places[image.member][1], image.reference, tell))
    finally:
        engine.close()
    return tuple(image.reference for image in archive.listed.images)


def _shown(pieces: Iterator[bytes], total: int, what: str, tell: Tell) -> Iterator[bytes]:
    done = said = 0
    for piece in pieces:
        yield piece
        done += len(piece)
        if done - said >= _TELL_EVERY_BYTES:
            said = done
            detail = f"{what}, {done / _MEGABYTE:.0f} of {total / _MEGABYTE:.0f} MB"
            tell(IMPORT_IMAGE, detail, percent=100 * done / total)


class _Teller:
    def __init__(self, tell: Tell, target: Path) -> None:
        self._tell = tell
        self._target = target
        self._said = 0

    def __call__(self, written_bytes: int) -> None:
        if written_bytes - self._said >= _TELL_EVERY_BYTES:
            self._said = written_bytes
            self._tell(EXPORT, f"{self._target}, {written_bytes / _MEGABYTE:.0f} MB")
