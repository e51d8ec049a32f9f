"""A base image with Python and our dependencies, made without any registry: the running interpreter in a tar."""

import hashlib
import io
import os
import platform
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import docker
from docker.errors import ImageNotFound

from fakes import interpreter_files

_REPOSITORY = "scout-test/base"
_VENV = Path("/opt/venv")
_USERS = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/sh\n"
_GROUPS = "root:x:0:\nnogroup:x:65534:\n"
_NSSWITCH = "hosts: files dns\n"
_FOLDER, _SHARED_FOLDER, _FILE = 0o755, 0o1777, 0o644


def build_base_image(client: docker.DockerClient) -> str:
    """Return the tag of the base image, after building it where the engine has none of this content.

    Python is `/opt/venv/bin/python`, first in PATH, and its site-packages are complete but for our own package.
    """
    tag = f"{_REPOSITORY}:{_content_hash()}"
    try:
        client.images.get(tag)
    except ImageNotFound:
        with tempfile.NamedTemporaryFile(suffix=".tar") as file:
            _pack(Path(file.name))
            _import(client, Path(file.name), tag)
    return tag


def _import(client: docker.DockerClient, path: Path, tag: str) -> None:
    repository, version = tag.split(":")
    client.api.import_image_from_file(
        str(path),
        repository=repository,
        tag=version,
        changes=[
            f"ENV PATH={_VENV}/bin:/usr/local/bin:/usr/bin:/bin",
            "ENV PYTHONUNBUFFERED=1",
            "WORKDIR /",
            'CMD ["python"]',
        ],
    )
    client.images.get(tag)


def _content_hash() -> str:
    """Hash what the content follows from; looking at the content itself would take seconds."""
    packages = {entry.name for entry in os.scandir(sysconfig.get_path("purelib")) if entry.name.endswith(".dist-info")}
    facts = [
        sys.version,
        str(interpreter_files.interpreter()),
        *platform.libc_ver(),
        *sorted(name for name in packages if not name.startswith("scout_deploy-")),
        *(distribution("scout-deploy").requires or ()),
        Path(__file__).read_text(encoding="utf-8"),
        Path(interpreter_files.__file__).read_text(encoding="utf-8"),
    ]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]


def _pack(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        packed: set[Path] = set()
        for source, place in _files():
            if place not in packed:
                _add_folders(archive, place.parent, packed)
                archive.add(source.resolve(), str(place.relative_to("/")), recursive=False, filter=_readable)
                packed.add(place)
        for place, text in _texts().items():
            _add_folders(archive, place.parent, packed)
            archive.addfile(_entry(place, mode=_FILE, size=len(text)), io.BytesIO(text.encode()))
        for name in ("python", "python3", f"python3.{sys.version_info.minor}"):
            _add_folders(archive, _VENV / "bin", packed)
            archive.addfile(_link(_VENV / "bin" / name, interpreter_files.interpreter()))
        archive.addfile(_entry(Path("/", "tmp"), mode=_SHARED_FOLDER, kind=tarfile.DIRTYPE))


def _readable(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mode |= _FILE
    return entry


def _files() -> Iterator[tuple[Path, Path]]:
    """Yield every file with its place in the image."""
    library = list(interpreter_files.standard_library())
    packages = [
        (source, _VENV / "lib" / f"python3.{sys.version_info.minor}" / "site-packages" / inside)
        for part in interpreter_files.distributions()
        for source, inside in interpreter_files.installed_files(part)
    ]
    binaries = [*library, *(source for source, _ in packages)]
    yield interpreter_files.interpreter(), interpreter_files.interpreter()
    yield interpreter_files.SHELL, interpreter_files.SHELL
    yield from ((file, file) for file in library)
    yield from packages
    yield from ((file, file) for file in interpreter_files.shared_libraries(binaries))


def _texts() -> dict[Path, str]:
    version = platform.python_version()
    return {
        _VENV / "pyvenv.cfg": f"home = {interpreter_files.interpreter().parent}\nversion = {version}\n",
        Path("/etc/passwd"): _USERS,
        Path("/etc/group"): _GROUPS,
        Path("/etc/nsswitch.conf"): _NSSWITCH,
    }


def _add_folders(archive: tarfile.TarFile, folder: Path, packed: set[Path]) -> None:
    """Add the folders above a file, open to every user: on this machine some may be their owner's alone."""
    if folder not in packed and folder != Path("/"):
        _add_folders(archive, folder.parent, packed)
        archive.addfile(_entry(folder, mode=_FOLDER, kind=tarfile.DIRTYPE))
        packed.add(folder)


def _entry(place: Path, *, mode: int, size: int = 0, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(str(place.relative_to("/")))
    entry.mode, entry.size, entry.type = mode, size, kind
    return entry


def _link(place: Path, target: Path) -> tarfile.TarInfo:
    entry = _entry(place, mode=0o777, kind=tarfile.SYMTYPE)
    entry.linkname = str(target)
    return entry
