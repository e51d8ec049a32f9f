"""The image of the played launcher: the embedded engine behind the launcher of Text Generation Inference."""

import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import docker
from docker.errors import ImageNotFound

import scout_engine
from fakes import tgi_launcher
from scout_proxy.version import __version__

_REPOSITORY = "scout-test/tgi"
_SITE_PACKAGES = "/opt/tgi"
_DOCKERFILE = """\
FROM {base}
COPY files/ {place}/
RUN ["python", "-m", "compileall", "-q", "{place}"]
ENV PYTHONPATH={place} PORT=80 HF_HOME=/data
ENTRYPOINT ["python", "-m", "fakes.tgi_launcher"]
"""
_METADATA = f"Metadata-Version: 2.4\nName: scout-deploy\nVersion: {__version__}\n"


def build_tgi_image(client: docker.DockerClient, base: str) -> str:
    """Return the tag of the image, after building it on `base` where the engine has none of this content."""
    dockerfile = _DOCKERFILE.format(base=base, place=_SITE_PACKAGES).encode()
    files = {"Dockerfile": dockerfile, **{f"files/{place}": content for place, content in _files()}}
    digest = hashlib.sha256()
    for place, content in files.items():
        digest.update(f"{place}\0{len(content)}\0".encode() + content)
    tag = f"{_REPOSITORY}:{digest.hexdigest()[:12]}"
    try:
        client.images.get(tag)
    except ImageNotFound:
        client.images.build(fileobj=_context(files), custom_context=True, tag=tag, rm=True, forcerm=True)
    return tag


def _files() -> Iterator[tuple[str, bytes]]:
    """Yield each file with its place; the demonstration model stays out: the weights are mounted."""
    yield f"scout_deploy-{__version__}.dist-info/METADATA", _METADATA.encode()
    yield "fakes/__init__.py", b""
    for package, place in ((scout_engine, "scout_engine"), (tgi_launcher, "fakes/tgi_launcher")):
        folder = Path(str(package.__file__)).parent
        for path in sorted(folder.rglob("*.py")):
            yield f"{place}/{path.relative_to(folder)}", path.read_bytes()


def _context(files: dict[str, bytes]) -> io.BytesIO:
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        for place, content in files.items():
            entry = tarfile.TarInfo(place)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    context.seek(0)
    return context
