"""A Docker host of the tests' own: a second daemon on this machine, with a network of its own, that may be stopped.

It lives in a network namespace: two daemons would overwrite each other's firewall rules. Its Unix socket is reached
from everywhere, its ports and those that it publishes only from inside, which is what `prefix` is for.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import docker
from docker.errors import ImageNotFound

_ANSWER_S = 120.0
_STOP_S = 120.0
_POLL_S = 0.1
_TCP_PORT = 2375
_NETWORKS = "base=10.213.0.0/16,size=24"


@dataclass(kw_only=True)
class SecondDockerHost:
    """The daemon, which is stopped and started as a machine's would be."""

    folder: Path
    namespace: int
    options: tuple[str, ...] = ()
    client: docker.DockerClient = field(init=False)
    _daemon: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.start()
        self.client = docker.DockerClient(base_url=self.socket_url)

    @property
    def socket_url(self) -> str:
        """Its address as a daemon of this machine."""
        return f"unix://{self.folder}/docker.sock"

    @property
    def tcp_url(self) -> str:
        """Its address as one of another machine; only inside its network."""
        return f"tcp://127.0.0.1:{_TCP_PORT}"

    def prefix(self, docker_host: str | None = None) -> tuple[str, ...]:
        """Return what a command is run through: inside its network, told of this daemon unless of none."""
        address = () if docker_host is None else ("env", f"DOCKER_HOST={docker_host}")
        return ("nsenter", f"--net=/proc/{self.namespace}/ns/net", *address)

    def start(self) -> None:
        """Start the daemon and wait until it answers."""
        with (self.folder / "dockerd.log").open("ab") as log:
            self._daemon = subprocess.Popen(
                [
                    *self.prefix(),
                    "dockerd",
                    *("--data-root", str(self.folder / "data")),
                    *("--exec-root", str(self.folder / "exec")),
                    *("--pidfile", str(self.folder / "pid")),
                    *("--host", self.socket_url),
                    *("--host", f"tcp://127.0.0.1:{_TCP_PORT}"),
                    *("--bridge", "none"),
                    *("--default-address-pool", _NETWORKS),
                    "--tls=false",
                    *self.options,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + _ANSWER_S
        while not self._answers():
            if self._daemon.poll() is not None or time.monotonic() > end:
                log_text = (self.folder / "dockerd.log").read_text(errors="replace")
                raise AssertionError(f"the second dockerd does not answer:\n{log_text[-2000:]}")
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """Stop the daemon and wait for its end; it ends its containers."""
        if self._daemon is None:
            return
        self._daemon.terminate()
        try:
            self._daemon.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            self._daemon.wait()
        self._daemon = None

    def load(self, source: docker.DockerClient, tags: Iterable[str]) -> None:
        """Copy images from another daemon; what it has not is left out."""
        there = [tag for tag in tags if _has(source, tag)]
        loader = ["docker", "--host", self.socket_url, "load"]
        with subprocess.Popen(["docker", "save", *there], stdout=subprocess.PIPE) as save:
            subprocess.run(loader, stdin=save.stdout, stdout=subprocess.DEVNULL, check=True)
        assert save.returncode == 0

    def _answers(self) -> bool:
        # The command's own client: docker-py leaves its socket open where nothing listens, which is a warning.
        told = subprocess.run(
            ["docker", "--host", self.socket_url, "version"], capture_output=True, timeout=_ANSWER_S, check=False
        )
        return told.returncode == 0


def _has(client: docker.DockerClient, tag: str) -> bool:
    try:
        client.images.get(tag)
    except ImageNotFound:
        return False
    return True


@contextmanager
def second_docker_host(*options: str) -> Iterator[SecondDockerHost]:
    """Start the daemon, and remove all of it at the end.

    Args:
        options: More of dockerd's command line.

    Raises:
        AssertionError: It does not start; that takes root and the program dockerd.
    """
    assert os.getuid() == 0, "a Docker daemon of the tests' own takes root"
    # Short, for the path of a Unix socket.
    folder = Path(tempfile.mkdtemp(prefix="scout-host-"))
    keeper = subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up && exec sleep infinity"])
    host = None
    try:
        _wait_for_namespace(keeper.pid)
        host = SecondDockerHost(folder=folder, namespace=keeper.pid, options=options)
        yield host
    finally:
        if host is not None:
            host.client.close()
            host.stop()
        keeper.kill()
        keeper.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for_namespace(keeper: int) -> None:
    own, end = Path("/proc/self/ns/net").readlink(), time.monotonic() + _ANSWER_S
    path = Path("/proc", str(keeper))
    # Its own network, and `sleep`, which comes when loopback is up.
    while path.joinpath("ns/net").readlink() == own or b"sleep\0infinity" not in path.joinpath("cmdline").read_bytes():
        assert time.monotonic() < end, "unshare --net made no network namespace"
        time.sleep(_POLL_S)
