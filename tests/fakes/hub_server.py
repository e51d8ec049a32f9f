"""A model hub on loopback that speaks what huggingface_hub 0.36 does, on two ports: the hub, and its storage.

Large files are redirected to the storage, as the real hub does, with the headers of its own storage protocol (Xet), of
which nothing else is here; small ones are redirected to a path of the hub itself.
"""

import hashlib
import json
import re
import socket
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

COMMIT = "a" * 40
_API = re.compile(r"/api/models/(?P<id>[^/]+/[^/]+)(?:/revision/(?P<revision>[^/]+))?")
_RESOLVE = re.compile(r"/(?P<id>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
_SMALL = re.compile(r"/api/resolve-cache/models/(?P<id>[^/]+/[^/]+)/(?P<revision>[^/]+)/(?P<path>.+)")
_PIECE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Seen:
    """A request that came: `at` is `hub` or `storage`."""

    at: str
    method: str
    path: str
    range: str | None
    token: str | None


@dataclass
class Repository:
    files: Mapping[str, bytes]
    commit: str = COMMIT
    gated: bool = False
    members: set[str] = field(default_factory=set)

    def is_large(self, path: str) -> bool:
        return path.endswith(".safetensors")


@dataclass
class Trouble:
    """What befalls the requests for the contents of one file, one entry for each request.

    `cuts`: after how many bytes the connection breaks. `refusals`: a status in place of the contents.
    `hold_after`: how many bytes come before `HubServer.release`.
    """

    cuts: deque[int] = field(default_factory=deque)
    refusals: deque[int] = field(default_factory=deque)
    hold_after: int | None = None
    corrupted: bool = False


class HubServer:
    """Use it in a `with`; after `stop` nobody listens on its ports. `host` is where it listens."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self.repositories: dict[str, Repository] = {}
        self.tokens: set[str] = set()
        self.troubles: dict[str, Trouble] = {}
        self.seen: list[Seen] = []
        self.released = threading.Event()
        self.hub = _serve(self, "hub")
        self.storage = _serve(self, "storage")

    @property
    def endpoint(self) -> str:
        return f"http://{self.host}:{self.hub.server_port}"

    def add(
        self, model_id: str, files: Mapping[str, bytes], *, gated: bool = False, commit: str = COMMIT
    ) -> Repository:
        self.repositories[model_id] = Repository(files=files, gated=gated, commit=commit)
        return self.repositories[model_id]

    def trouble(self, path: str) -> Trouble:
        return self.troubles.setdefault(path, Trouble())

    def contents_seen(self, path: str) -> list[Seen]:
        return [one for one in self.seen if one.method == "GET" and one.path.endswith(f"/{path}")]

    def downloads_seen(self, path: str) -> list[Seen]:
        """Return the requests for all of it, or for its rest: a plan asks for the first bytes alone."""
        return [one for one in self.contents_seen(path) if one.range is None or one.range.endswith("-")]

    def release(self) -> None:
        self.released.set()

    def stop(self) -> None:
        self.release()
        for server in (self.hub, self.storage):
            server.shutdown()
            server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class _Listener(ThreadingHTTPServer):
    # Threads of clients that keep their connections are left behind.
    daemon_threads = True
    block_on_close = False
    owner: HubServer
    name: str


def _serve(owner: HubServer, name: str) -> _Listener:
    listener = _Listener((owner.host, 0), _Handler)
    listener.owner = owner
    listener.name = name
    threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return listener


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        self.server.owner.seen.append(
            Seen(self.server.name, self.command, path, self.headers.get("Range"), token),
        )
        if self.server.name == "storage":
            self._contents(*self._stored(path))
        elif token is not None and token not in self.server.owner.tokens:
            self._fail(401, message="Invalid credentials in Authorization header")
        elif found := _API.fullmatch(path):
            self._info(found["id"], found["revision"] or "main", token)
        elif found := _RESOLVE.fullmatch(path) or _SMALL.fullmatch(path):
            self._resolve(found["id"], found["revision"], found["path"], token, is_final=bool(_SMALL.fullmatch(path)))
        else:
            self._fail(404, message="Not found")

    do_HEAD = do_GET

    def _repository(self, model_id: str, revision: str, token: str | None) -> Repository | None:
        repository = self.server.owner.repositories.get(model_id)
        if repository is None:
            # The real hub tells nobody which repositories exist, and says so of a private one too.
            self._fail(404 if token else 401, code="RepoNotFound", message="Repository not found")
        elif revision not in {"main", repository.commit}:
            self._fail(404, code="RevisionNotFound", message=f"Invalid rev id: {revision}")
        else:
            return repository
        return None

    def _info(self, model_id: str, revision: str, token: str | None) -> None:
        if repository := self._repository(model_id, revision, token):
            siblings = [_sibling(repository, path) for path in repository.files]
            gated = "manual" if repository.gated else False
            self._answer(
                json.dumps(
                    {"id": model_id, "sha": repository.commit, "gated": gated, "siblings": siblings, "tags": []},
                ).encode(),
            )

    def _resolve(self, model_id: str, revision: str, path: str, token: str | None, *, is_final: bool) -> None:
        repository = self._repository(model_id, revision, token)
        if repository is None:
            return
        if repository.gated and token not in repository.members:
            self._fail(403 if token else 401, code="GatedRepo", message=f"Access to model {model_id} is restricted.")
        elif path not in repository.files:
            self._fail(404, code="EntryNotFound", message="Entry not found")
        elif is_final:
            self._contents(model_id, path)
        else:
            self._redirect(model_id, repository, path)

    def _redirect(self, model_id: str, repository: Repository, path: str) -> None:
        contents = repository.files[path]
        headers = {"X-Repo-Commit": repository.commit}
        if repository.is_large(path):
            port = self.server.owner.storage.server_port
            sha256 = hashlib.sha256(contents).hexdigest()
            headers |= {
                "X-Linked-Size": str(len(contents)),
                "X-Linked-Etag": f'"{sha256}"',
                "X-Xet-Hash": sha256,
                "Link": f'<{self.server.owner.endpoint}/api/models/{model_id}/xet-read-token/main>; rel="xet-auth"',
                "Location": f"http://{self.server.owner.host}:{port}/{model_id}/{path}?signature=short-lived",
            }
            self._answer(b"", status=302, headers=headers)
        else:
            headers |= {"ETag": f'"{_git_oid(contents)}"'}
            headers |= {"Location": f"/api/resolve-cache/models/{model_id}/{repository.commit}/{path}"}
            self._answer(b"", status=307, headers=headers)

    def _stored(self, path: str) -> tuple[str, str]:
        owner, name, file = path.removeprefix("/").split("/", 2)
        return f"{owner}/{name}", file

    def _contents(self, model_id: str, path: str) -> None:
        repository = self.server.owner.repositories[model_id]
        trouble = self.server.owner.troubles.get(path, Trouble())
        contents = repository.files[path]
        headers = {"ETag": f'"{_git_oid(contents)}"', "X-Repo-Commit": repository.commit, "Accept-Ranges": "bytes"}
        if trouble.corrupted:
            contents = bytes(len(contents))
        if self.command == "GET" and trouble.refusals:
            self._fail(trouble.refusals.popleft(), message="Request has expired")
            return
        first, _, last = (self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last or len(contents)) + 1, len(contents))
        if start > len(contents):
            self._fail(416, message="Requested range not satisfiable")
            return
        partial = "Range" in self.headers
        if partial:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(contents)}"
        self._answer(contents[start:end], status=206 if partial else 200, headers=headers, trouble=trouble)

    def _fail(self, status: int, *, message: str, code: str | None = None) -> None:
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self._answer(json.dumps({"error": message}).encode(), status=status, headers=headers)

    def _answer(
        self,
        body: bytes,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        trouble: Trouble | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = trouble.cuts.popleft() if trouble and trouble.cuts else None
        hold = trouble.hold_after if trouble else None
        try:
            self._send(body, cut, hold)
        except OSError:
            # The client went away, which some tests are about.
            self.close_connection = True

    def _send(self, body: bytes, cut: int | None, hold: int | None) -> None:
        sent = 0
        while sent < len(body):
            if cut is not None and sent >= cut:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            if hold is not None and sent >= hold:
                self.server.owner.released.wait(30)
            until = min(sent + _PIECE_BYTES, *(mark for mark in (cut, hold, len(body)) if mark and mark > sent))
            self.wfile.write(body[sent:until])
            sent = until

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: `seen` is there for the tests."""


def _sibling(repository: Repository, path: str) -> dict[str, object]:
    contents = repository.files[path]
    sibling: dict[str, object] = {"rfilename": path, "size": len(contents), "blobId": _git_oid(contents)}
    if repository.is_large(path):
        sha256 = hashlib.sha256(contents).hexdigest()
        sibling["lfs"] = {"sha256": sha256, "size": len(contents), "pointerSize": 134}
    return sibling


def _git_oid(contents: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(contents) + contents, usedforsecurity=False).hexdigest()
