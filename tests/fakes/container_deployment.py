"""A deployment of two replicas of the played TGI, and clients that ask it without a pause while something happens."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

import docker
import requests
from docker.models.containers import Container

from fakes.command_line import CommandLine
from fakes.container_case import ContainerCase, write_profile
from fakes.docker_leftovers import remove_leftovers

_CLIENTS = 3
_REQUEST_S = 180.0
_POLL_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Made:
    """What deployments of the tests are made of."""

    client: docker.DockerClient
    tgi_image: str
    base_image: str


@contextmanager
def container_deployment(
    made: Made, home: Path, name: str, weights: Path, port: int, *, replicas: int = 2, prefix: tuple[str, ...] = ()
) -> Iterator[ContainerCase]:
    """Give a deployment that is not up yet; nothing of it may be left once it was taken down.

    Args:
        prefix: What the command is run through, to reach another daemon than this machine's.
    """
    profile = write_profile(
        home / f"{name}.yaml",
        model=f"path: {weights}",
        image=made.tgi_image,
        base_image=made.base_image,
        port=port,
        more=f"replicas: {replicas}\n",
    )
    case = ContainerCase(cli=CommandLine(home, port, prefix), name=name, profile=profile, docker=made.client)
    try:
        yield case
    finally:
        if case.containers():
            case.run("down")
        left = remove_leftovers(made.client, name)
    assert left == [], "'down' left these on the Docker engine; they are removed now"


def engines(case: ContainerCase) -> list[Container]:
    """Return the engines' containers, in the order of their names."""
    found = [one for one in case.containers() if one.labels["scout.role"] == "engine"]
    return sorted(found, key=lambda one: str(one.name))


def main_process(container: Container) -> int:
    """Return the number, on the host, of the container's main process; 0 while it does not run."""
    container.reload()
    return int(container.attrs["State"]["Pid"])


def wait_for_line(process: Popen[str], words: str, *, patience_s: float = 120.0) -> str:
    """Read what a command prints until a line has these words, and return all of it.

    Raises:
        AssertionError: It ended, or time ran out, before it said so.
    """
    assert process.stdout is not None
    timer = threading.Timer(patience_s, process.kill)
    timer.start()
    said: list[str] = []
    try:
        for line in process.stdout:
            said.append(line)
            if words in line:
                return "".join(said)
    finally:
        timer.cancel()
    raise AssertionError(f"it ended without {words!r}:\n{''.join(said)}{process.communicate()[1]}")


def ended(process: Popen[str], *, patience_s: float = 120.0) -> tuple[int, str]:
    """Return the exit status of a command, and what it printed that nobody read yet."""
    stdout, stderr = process.communicate(timeout=patience_s)
    return process.returncode, stdout + stderr


@dataclass(kw_only=True)
class Load:
    """Clients that ask in a loop; every answer but a 200 is a failure, and so is a connection that breaks."""

    url: Callable[[], str]
    failures: list[str] = field(default_factory=list)
    _counter: "itertools.count[int]" = field(default_factory=itertools.count)
    _answered: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    @property
    def answered(self) -> int:
        """Requests that were answered with a generation so far."""
        return self._answered

    def wait_for_more(self, count: int, *, patience_s: float = 120.0) -> None:
        """Wait until so many more requests were answered."""
        wanted, end = self._answered + count, time.monotonic() + patience_s
        while self._answered < wanted:
            assert time.monotonic() < end, f"{self._answered} of {wanted} answers; failures: {self.failures}"
            time.sleep(_POLL_S)

    def ask_until_stopped(self) -> None:
        while not self._stop.is_set():
            body = {"prompt": f"Tell me about the sea, {next(self._counter)}.", "max_length": 8}
            try:
                # A connection of its own for each: what a client that has none yet would see.
                answer = requests.post(f"{self.url()}/generate", json=body, timeout=_REQUEST_S)
            except requests.RequestException as exc:
                self.failures.append(f"{type(exc).__name__}: {exc}")
                continue
            if answer.status_code == requests.codes.ok:
                self._answered += 1
            else:
                self.failures.append(f"{answer.status_code}: {answer.text}")

    def stop(self) -> None:
        self._stop.set()


@contextmanager
def load_on(case: ContainerCase, *, is_serving: bool = True) -> Iterator[Load]:
    """Ask the deployment's API in a loop, by several clients at once, until the block ends.

    Args:
        is_serving: The block begins when the first answers came; otherwise at once, while they still wait.
    """
    load = Load(url=lambda: case.cli.url)
    clients = [threading.Thread(target=load.ask_until_stopped) for _ in range(_CLIENTS)]
    for one in clients:
        one.start()
    try:
        if is_serving:
            load.wait_for_more(_CLIENTS)
        yield load
        load.wait_for_more(_CLIENTS)
    finally:
        load.stop()
        for one in clients:
            one.join()
