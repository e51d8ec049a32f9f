"""The real proxy on a real socket, in a thread, in front of fake engines."""

import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from scout_proxy.app import create_app
from scout_proxy.engine import Engines
from scout_proxy.engine_loading import load_tgi_engines
from scout_proxy.route_table import Identity, Limits, RouteTable, Serving, Template, Upstream, write_route_table
from scout_proxy.route_watcher import RouteWatcher
from scout_proxy.server import ProxyServer, listen

DEADLINE_S = 5.0
LoadEngines = Callable[[], Awaitable[Engines]]


def wait_until(condition: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Look every few milliseconds until `condition` holds; fail with `what` when it does not in time."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s} s: {what}")
        time.sleep(0.005)


def route_table(*urls: str, **changes: Any) -> RouteTable:
    """Build a table with one upstream, `engine-0` and so on, for each URL."""
    given: dict[str, Any] = {
        "revision": 1,
        "deployment": "test",
        "profile": "test-profile",
        "identity": Identity(name="Llama 4 Scout-17B API", model="meta-llama/Llama-4-Scout-17B-16E-Instruct"),
        "serving": Serving(model_id="fake/model", engine="fake"),
        "upstreams": tuple(Upstream(id=f"engine-{index}", url=url) for index, url in enumerate(urls)),
    }
    return RouteTable(**{**given, **changes})


class RunningProxy:
    """A proxy that serves the table in `path`; `configure` changes it while it runs."""

    def __init__(self, path: Path, table: RouteTable, load_engines: LoadEngines = load_tgi_engines) -> None:
        self.path = path
        self.original = self.table = table
        write_route_table(path, table)
        self.routes = RouteWatcher(path)
        self.listener = listen("127.0.0.1", 0)
        self.port: int = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        app = create_app(self.routes, load_engines=load_engines, reload_interval_s=0.01)
        self.server = ProxyServer(app, lambda: self.routes.served.table.limits)
        self.thread = threading.Thread(target=lambda: self.server.run(sockets=[self.listener]))
        self.thread.start()
        wait_until(lambda: self.server.started, "the proxy's server has started")

    def configure(self, **changes: Any) -> None:
        """Write the next revision with these parts changed, and wait until it is served."""
        self._write(self.table.model_copy(update=changes))

    def limit(self, **limits: Any) -> None:
        """Change limits."""
        self.configure(limits=Limits(**limits))

    def use_template(self, **template: Any) -> None:
        """Change the prompt format."""
        self.configure(template=Template(**template))

    def restore(self) -> None:
        """Serve the table of the beginning again, under a new revision."""
        if self.table is not self.original:
            self._write(self.original)
            self.original = self.table

    def _write(self, table: RouteTable) -> None:
        self.table = table.model_copy(update={"revision": self.table.revision + 1})
        write_route_table(self.path, self.table)
        wait_until(lambda: self.routes.served.table.revision == self.table.revision, "the new table is served")

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(self.url + path, timeout=DEADLINE_S, **options)

    def post(self, path: str = "/generate", **options: Any) -> requests.Response:
        return requests.post(self.url + path, timeout=2 * DEADLINE_S, **options)

    def generate(self, **fields: Any) -> requests.Response:
        """POST /generate with a prompt, where none is given."""
        return self.post(json={"prompt": "hello", **fields})

    def connect(self) -> socket.socket:
        """Open a bare connection, whose waits end after the deadline."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S)

    @staticmethod
    def raw_generate(body: bytes) -> bytes:
        """Write a whole POST /generate as bytes."""
        return b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    def status(self) -> Any:
        return self.get("/status").json()

    def wait_for(self, status: str) -> None:
        """Wait until `GET /` says this."""
        wait_until(lambda: self.get("/").json()["status"] == status, f"GET / says {status}")

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)
        assert not self.thread.is_alive()


@contextmanager
def running_proxy(
    path: Path, table: RouteTable, load_engines: LoadEngines = load_tgi_engines
) -> Iterator[RunningProxy]:
    """Run a proxy for the length of a block."""
    proxy = RunningProxy(path, table, load_engines)
    try:
        yield proxy
    finally:
        proxy.stop()
