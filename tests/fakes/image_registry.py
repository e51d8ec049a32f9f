"""A registry on loopback that `docker pull` pulls from: slow, refusing or cut off where a test asks for it.

Docker speaks plain HTTP with registries on 127.0.0.0/8. The protocol is that of
https://github.com/opencontainers/distribution-spec (pull only); the codes of errors are its own.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from socketserver import BaseServer
from typing import Literal

from fakes.registry_image import MANIFEST_TYPE, RegistryImage

Refusal = Literal["denied", "login", "too-many-requests", "broken"]


@dataclass(frozen=True, kw_only=True)
class RegistryError:
    """An answer with an error."""

    status: HTTPStatus
    code: str
    message: str
    detail: object = None

    def body(self) -> bytes:
        detail = {} if self.detail is None else {"detail": self.detail}
        return json.dumps({"errors": [{"code": self.code, "message": self.message, **detail}]}).encode()


_DENIED = RegistryError(
    status=HTTPStatus.FORBIDDEN, code="DENIED", message="requested access to the resource is denied"
)
# Without a detail, as GitHub's registry has it, Docker says no more than "denied"; with one it suggests a login.
_REFUSALS: dict[Refusal, RegistryError] = {
    "denied": _DENIED,
    "login": replace(_DENIED, detail=[{"Type": "repository", "Action": "pull"}]),
    "too-many-requests": RegistryError(
        status=HTTPStatus.TOO_MANY_REQUESTS, code="TOOMANYREQUESTS", message="You have reached your pull rate limit."
    ),
    "broken": RegistryError(status=HTTPStatus.INTERNAL_SERVER_ERROR, code="UNKNOWN", message="unknown error"),
}
_NO_NAME = RegistryError(
    status=HTTPStatus.NOT_FOUND, code="NAME_UNKNOWN", message="repository name not known to registry"
)
_NO_MANIFEST = RegistryError(status=HTTPStatus.NOT_FOUND, code="MANIFEST_UNKNOWN", message="manifest unknown")
_NO_BLOB = RegistryError(status=HTTPStatus.NOT_FOUND, code="BLOB_UNKNOWN", message="blob unknown to registry")
_PATH = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs)/(?P<reference>[^/]+)")
_RANGE = re.compile(r"bytes=(\d+)-")
_CHUNK_BYTES = 64 * 1024
_POLL_S = 0.02


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a repository is served.

    Attributes:
        bytes_per_s: Of each layer; None: as fast as it goes.
        cut_after_bytes: Each connection for a layer ends after so many.
        cuts: So many connections are cut; those after them are not.
        refusal: What every question about a manifest is answered with.
    """

    bytes_per_s: float | None = None
    cut_after_bytes: int | None = None
    cuts: int = 1
    refusal: Refusal | None = None


class _Repository:
    def __init__(self, manner: Manner) -> None:
        self.manner = manner
        self._tags: dict[str, RegistryImage] = {}
        self._images: dict[str, RegistryImage] = {}
        self._cuts_left = manner.cuts
        self._lock = threading.Lock()

    def add(self, tag: str, image: RegistryImage) -> None:
        self._tags[tag] = image
        # A tag that moves leaves what it named, by its digest.
        self._images[image.digest] = image

    def manifest(self, reference: str) -> bytes | None:
        image = self._tags.get(reference) or self._images.get(reference)
        return image.manifest if image else None

    def blob(self, reference: str) -> bytes | None:
        return next(
            (blobs[reference] for blobs in map(RegistryImage.blobs, self._images.values()) if reference in blobs), None
        )

    def take_cut(self) -> bool:
        with self._lock:
            self._cuts_left -= 1
            return self._cuts_left >= 0


class ImageRegistry:
    """A registry that serves until `image_registry` ends."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self._repositories: dict[str, _Repository] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        # A layer that is served slowly must not hold up the end of a test.
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_S,))
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def add(self, name: str, tag: str, image: RegistryImage, manner: Manner | None = None) -> str:
        """Serve an image under this name and return what `docker pull` takes; a tag given again moves."""
        repository = self._repositories.setdefault(name, _Repository(manner or Manner()))
        repository.add(tag, image)
        return f"{self.address}/{name}:{tag}"

    def repository(self, name: str) -> _Repository | None:
        return self._repositories.get(name)

    def stop(self) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def image_registry() -> Iterator[ImageRegistry]:
    """Run a registry for the length of a block."""
    registry = ImageRegistry()
    try:
        yield registry
    finally:
        registry.stop()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, registry: ImageRegistry, request: socket, client: object, server: BaseServer) -> None:
        self._registry = registry
        # The base class answers within this call.
        super().__init__(request, client, server)

    def do_GET(self) -> None:
        if self.path == "/v2/":
            self._answer(HTTPStatus.OK, b"{}", "application/json")
            return
        match = _PATH.fullmatch(self.path)
        repository = self._registry.repository(match["name"]) if match else None
        if match is None or repository is None:
            self._refuse(_NO_NAME)
        elif match["kind"] == "manifests":
            self._manifest(repository, match["reference"])
        else:
            self._blob(repository, match["reference"])

    def do_HEAD(self) -> None:
        self.do_GET()

    def _manifest(self, repository: _Repository, reference: str) -> None:
        manifest = repository.manifest(reference)
        if repository.manner.refusal:
            self._refuse(_REFUSALS[repository.manner.refusal])
        elif manifest is None:
            self._refuse(_NO_MANIFEST)
        else:
            self._answer(HTTPStatus.OK, manifest, MANIFEST_TYPE)

    def _blob(self, repository: _Repository, reference: str) -> None:
        blob = repository.blob(reference)
        if blob is None:
            self._refuse(_NO_BLOB)
            return
        asked = _RANGE.match(self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        self.send_response(HTTPStatus.PARTIAL_CONTENT if asked else HTTPStatus.OK)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(blob) - 1}/{len(blob)}")
        self._end_head(len(blob) - start, "application/octet-stream")
        if self.command == "GET":
            self._pour(blob[start:], repository)

    def _pour(self, content: bytes, repository: _Repository) -> None:
        manner = repository.manner
        if manner.cut_after_bytes is not None and len(content) > manner.cut_after_bytes and repository.take_cut():
            content = content[: manner.cut_after_bytes]
            self.close_connection = True
        for start in range(0, len(content), _CHUNK_BYTES):
            chunk = content[start : start + _CHUNK_BYTES]
            self.wfile.write(chunk)
            if manner.bytes_per_s and self._registry.stopping.wait(len(chunk) / manner.bytes_per_s):
                self.close_connection = True
                return

    def _refuse(self, error: RegistryError) -> None:
        self._answer(error.status, error.body(), "application/json")

    def _answer(self, status: HTTPStatus, body: bytes, media_type: str) -> None:
        self.send_response(status)
        self._end_head(len(body), media_type)
        if self.command == "GET":
            self.wfile.write(body)

    def _end_head(self, length: int, media_type: str) -> None:
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a test's output is its own."""
