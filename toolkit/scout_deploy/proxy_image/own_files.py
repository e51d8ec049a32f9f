"""Our own installed files, read from a wheel's installation and from a checkout alike."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from scout_deploy.errors import ImageError
from scout_deploy.profile.catalogue import shipped_profiles_dir
from scout_proxy import version as proxy_version

_DISTRIBUTION = "scout-deploy"
_LOCK = "requirements-proxy.lock"
_DOCKERFILE = "Dockerfile"
# Where the wheel has what lies elsewhere in a checkout; pyproject.toml says the same to the wheel's builder.
_SHIPPED_PROFILES = "scout_deploy/shipped_profiles"
_SHIPPED_IMAGE = "scout_deploy/shipped_proxy_image"


@dataclass(frozen=True, kw_only=True)
class OwnFiles:
    """What the proxy's image is made of, but for its base.

    Args:
        packages: The proxy's and the toolkit's files, by their path below site-packages; not the embedded engine's.
        metadata: By their path below the `.dist-info` folder.
        lock: What the image installs, each file with its hash.
    """

    version: str
    packages: dict[str, bytes]
    metadata: dict[str, bytes]
    dockerfile: bytes
    lock: bytes


def read_own_files() -> OwnFiles:
    """Read them.

    Raises:
        ImageError: This Python runs our code without having it installed, or a file of it is missing.
    """
    try:
        return _read()
    except PackageNotFoundError as exc:
        raise _unreadable("this Python has no installed distribution scout-deploy") from exc
    except OSError as exc:
        raise _unreadable(f"{exc.filename} cannot be read: {exc.strerror}") from exc


def _unreadable(reason: str) -> ImageError:
    return ImageError(
        f"the proxy's image cannot be made from this installation of scout-deploy: {reason}",
        next_step="install scout-deploy again (in a checkout: make up), or name a prebuilt image with "
        "--set proxy.image=IMAGE",
    )


def _read() -> OwnFiles:
    toolkit = Path(__file__).resolve().parents[1]
    proxy = Path(proxy_version.__file__).resolve().parent
    dockerfile, lock = _image_files(toolkit)
    packages = {
        **_tree("scout_proxy", proxy),
        **_tree("scout_deploy", toolkit),
        **_tree(_SHIPPED_PROFILES, shipped_profiles_dir()),
        f"{_SHIPPED_IMAGE}/{_DOCKERFILE}": dockerfile,
        f"{_SHIPPED_IMAGE}/{_LOCK}": lock,
    }
    return OwnFiles(
        version=proxy_version.__version__,
        packages=packages,
        metadata=_metadata(distribution(_DISTRIBUTION)),
        dockerfile=dockerfile,
        lock=lock,
    )


def _image_files(package: Path) -> tuple[bytes, bytes]:
    in_wheel = package / Path(_SHIPPED_IMAGE).name
    if in_wheel.is_dir():
        return (in_wheel / _DOCKERFILE).read_bytes(), (in_wheel / _LOCK).read_bytes()
    checkout = package.parents[1]
    return (checkout / "infra" / "proxy-image" / _DOCKERFILE).read_bytes(), (checkout / _LOCK).read_bytes()


def _tree(place: str, folder: Path) -> dict[str, bytes]:
    return {f"{place}/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in _files(folder)}


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder but for bytecode and what editors leave."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == "__pycache__":
            continue
        if path.is_dir():
            yield from _files(path)
        elif path.suffix != ".pyc":
            yield path


def _metadata(installed: Distribution) -> dict[str, bytes]:
    texts = {name: installed.read_text(name) for name in ("METADATA", "entry_points.txt", "licenses/LICENSE")}
    # The long description is left out: an image need not be built anew because the README changed. And in an editable
    # checkout the version is that of the day of its installation.
    head = (texts["METADATA"] or "").partition("\n\n")[0]
    texts["METADATA"] = re.sub(r"(?m)^Version: .*$", f"Version: {proxy_version.__version__}", head) + "\n"
    return {name: text.encode() for name, text in texts.items() if text is not None}
