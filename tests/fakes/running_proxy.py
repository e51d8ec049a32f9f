"""The real proxy on a real socket, in a thread, in front of fake engines."""

import re
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families

from scout_proxy.app import Proxy, create_proxy
from scout_proxy.observation.observer import Observer
from scout_proxy.route_table import (
    Cache,
    CachePolicy,
    Identity,
    Limits,
    RouteTable,
    Serving,
    Template,
    Upstream,
    write_route_table,
)
from scout_proxy.route_watcher import RouteWatcher
from scout_proxy.server import ProxyServer, listen
from scout_proxy.upstreams.engine import Engines
from scout_proxy.upstreams.engine_loading import load_tgi_engines

# Nothing waits this long unless it has failed: a machine may stand still for seconds.
DEADLINE_S = 30.0
LoadEngines = Callable[[], Awaitable[Engines]]


def wait_until(condition: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Look every few milliseconds until `condition` holds; fail with `what` when it does not in time."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s} s: {what}")
        time.sleep(0.005)


def read_to_end(connection: socket.socket) -> bytes:
    """Read until the server closes."""
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    connection.close()
    return received


def read_answer(connection: socket.socket) -> bytes:
    """Read one answer that has a length; what follows it stays unread."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += _read_exactly(connection, 1)
    length = re.search(rb"\r\ncontent-length: (\d+)\r\n", answer, re.IGNORECASE)
    assert length is not None, answer
    return answer + _read_exactly(connection, int(length[1]))


def _read_exactly(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        more = connection.recv(count - len(received))
        assert more, "the server closed too early"
        received += more
    return received


def route_table(*urls: str, **changes: Any) -> RouteTable:
    """Build a table with one upstream, `engine-0` and so on, for each URL."""
    given: dict[str, Any] = {
        "revision": 1,
        "deployment": "test",
        "profile": "test-profile",
        "identity": Identity(name="Llama 4 Scout-17B API", model="meta-llama/Llama-4-Scout-17B-16E-Instruct"),
        "serving": Serving(model_id="fake/model", engine="fake"),
        # Most tests look at what reaches the engine.
        "cache": Cache(policy=CachePolicy.OFF),
        "upstreams": tuple(Upstream(id=f"engine-{index}", url=url) for index, url in enumerate(urls)),
    }
    return RouteTable(**{**given, **changes})


class RunningProxy:
    """A proxy that serves the table in `path`; `configure` changes it while it runs."""

    def __init__(
        self,
        path: Path,
        table: RouteTable,
        load_engines: LoadEngines = load_tgi_engines,
        observer: Observer | None = None,
        through: Callable[[Proxy], Proxy] = lambda proxy: proxy,
    ) -> None:
        self.path = path
        self.original = self.table = table
        write_route_table(path, table)
        self.routes = RouteWatcher(path)
        self.listener = listen("127.0.0.1", 0)
        self.port: int = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        proxy = create_proxy(self.routes, load_engines=load_engines, reload_interval_s=0.01, observer=observer)
        self.server = ProxyServer(through(proxy), lambda: self.routes.served.table.limits)
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
        return requests.post(self.url + path, timeout=DEADLINE_S, **options)

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

    def upstream(self, upstream: str) -> Any:
        """Return what /status says of one upstream."""
        return next(one for one in self.status()["upstreams"] if one["id"] == upstream)

    def wait_until_observed(self, **states: str) -> None:
        """Wait until /status observes these states; `engine_0` stands for `engine-0`."""
        wanted = {name.replace("_", "-"): state for name, state in states.items()}
        wait_until(
            lambda: wanted.items() <= {one["id"]: one["observed"] for one in self.status()["upstreams"]}.items(),
            f"/status observes {wanted}",
        )

    def samples(self) -> dict[tuple[str, ...], float]:
        """Return every sample of /metrics by its name and the values of its labels."""
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(self.get("/metrics").text)
            for sample in family.samples
        }

    def wait_for(self, status: str) -> None:
        """Wait until `GET /` says this."""
        wait_until(lambda: self.get("/").json()["status"] == status, f"GET / says {status}")

    def send(self, request: bytes) -> socket.socket:
        """Send a request on a connection of its own."""
        connection = self.connect()
        connection.sendall(request)
        return connection

    def terminate(self) -> None:
        """Do what SIGTERM does to a process."""
        self.server.should_exit = True

    def stop(self) -> None:
        self.terminate()
        self.thread.join(DEADLINE_S)
        assert not self.thread.is_alive()


class Load:
    """Clients that ask again as soon as they are answered, each on a connection of its own, until `stop`.

    Args:
        prompt: Gives the prompt of the next request.
    """

    def __init__(self, url: str, clients: int, prompt: Callable[[], str] = lambda: "p") -> None:
        self.statuses: list[int] = []
        self._url = url
        self._prompt = prompt
        self._is_over = threading.Event()
        self._clients = [threading.Thread(target=self._ask) for _ in range(clients)]
        for client in self._clients:
            client.start()

    def go_on(self, answers: int) -> None:
        """Wait for that many more answers."""
        before = len(self.statuses)
        wait_until(lambda: len(self.statuses) >= before + answers, f"{answers} more answers")

    def stop(self) -> None:
        self._is_over.set()
        for client in self._clients:
            client.join(DEADLINE_S)

    def _ask(self) -> None:
        with requests.Session() as session:
            while not self._is_over.is_set():
                answer = session.post(self._url + "/generate", json={"prompt": self._prompt()}, timeout=DEADLINE_S)
                self.statuses.append(answer.status_code)


@contextmanager
def load_on(proxy: RunningProxy, *, clients: int = 6, prompt: Callable[[], str] = lambda: "p") -> Iterator[Load]:
    """Keep a proxy busy for the length of a block."""
    load = Load(proxy.url, clients, prompt)
    try:
        yield load
    finally:
        load.stop()


@contextmanager
def running_proxy(
    path: Path,
    table: RouteTable,
    load_engines: LoadEngines = load_tgi_engines,
    observer: Observer | None = None,
    through: Callable[[Proxy], Proxy] = lambda proxy: proxy,
) -> Iterator[RunningProxy]:
    """Run a proxy for the length of a block.

    Args:
        through: Gives what is served of it.
    """
    proxy = RunningProxy(path, table, load_engines, observer, through)
    try:
        yield proxy
    finally:
        proxy.stop()
