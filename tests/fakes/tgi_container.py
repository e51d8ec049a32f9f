"""The image that plays TGI as a container: started, asked, waited for."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests
from docker.models.containers import Container
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

_START_S = 120
_END_S = 120
_POLL_S = 0.05
_COLOUR = re.compile(r"\x1b\[[0-9]*m")


@dataclass(frozen=True, kw_only=True)
class TgiContainer:
    """A started container of the played TGI."""

    container: Container

    @property
    def url(self) -> str:
        """Return the address on loopback; Docker chooses another port at each start.

        Raises:
            ConnectionError: It does not run.
        """
        self.container.reload()
        published = self.container.attrs["NetworkSettings"]["Ports"].get("80/tcp")
        if not published:
            raise requests.ConnectionError(f"the container is {self.container.status} and publishes no port")
        return f"http://127.0.0.1:{published[0]['HostPort']}"

    def lines(self) -> list[str]:
        """Return the lines that it wrote so far, without colours."""
        return _COLOUR.sub("", self.raw_log()).splitlines()

    def raw_log(self) -> str:
        return bytes(self.container.logs()).decode()

    def says(self, words: str) -> bool:
        return any(words in line for line in self.lines())

    def wait_for_line(self, words: str) -> None:
        _wait_until(lambda: self.says(words) or self._has_ended(), f"it says {words!r}", _START_S)
        assert self.says(words), self.lines()

    def wait_for_count(self, words: str, count: int) -> None:
        """Wait until so many lines say this, over all starts."""
        _wait_until(lambda: sum(words in line for line in self.lines()) >= count, f"{count} x {words!r}", _START_S)

    def wait_until_ready(self) -> None:
        self.wait_for_line("Connected")
        _wait_until(self._is_healthy, "/health is 200", _START_S)

    def end(self) -> dict[str, Any]:
        """Wait for its end and return Docker's state of it: ExitCode, OOMKilled and so on."""
        self.container.wait(timeout=_END_S)
        return self.state()

    def _has_ended(self) -> bool:
        return bool(self.state()["Status"] == "exited")

    def state(self) -> dict[str, Any]:
        self.container.reload()
        return dict(self.container.attrs["State"])

    def _is_healthy(self) -> bool:
        try:
            return bool(self.get("/health").ok)
        except requests.ConnectionError:
            return False

    def process_id(self, module: str) -> int:
        """Return the number, on the host, of the process that runs this module of Python."""
        # Not by `docker top`: where COLUMNS is set for the daemon, its `ps` cuts every command at that width.
        first = psutil.Process(self.state()["Pid"])
        running = {one.pid: one.cmdline() for one in (first, *first.children(recursive=True))}
        found = [pid for pid, words in running.items() if words[1:3] == ["-m", module]]
        assert len(found) == 1, f"-m {module} is not there once: {running}"
        return found[0]

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, timeout=60)

    def generate(self, inputs: str) -> requests.Response:
        return requests.post(
            f"{self.url}/generate", json={"inputs": inputs, "parameters": {"max_new_tokens": 4}}, timeout=60
        )


def _wait_until(condition: Callable[[], object], what: str, deadline_s: float) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s} s: {what}")
        time.sleep(_POLL_S)


@contextmanager
def tgi_container(
    image: str, weights: Path, *, options: dict[str, Any] | None = None, **environment: str
) -> Iterator[TgiContainer]:
    """Run the image on these weights, reachable on loopback only; `options` are those of docker-py."""
    # Its reaper would have to be pulled from a registry.
    testcontainers_config.ryuk_disabled = True
    container = DockerContainer(
        image,
        env={"MODEL_ID": "/weights", "NUM_SHARD": "1", "MAX_TOTAL_TOKENS": "512", **environment},
        volumes=[(str(weights), "/weights", "ro")],
        **(options or {}),
    )
    container.ports = {"80/tcp": ("127.0.0.1", None)}  # type: ignore[dict-item]  # docker-py takes an address as well
    # Where the root is read-only, this is left to write in, as the real launcher's sockets need.
    container.tmpfs = {"/tmp": ""}
    with container:
        yield TgiContainer(container=container.get_wrapped_container())
