"""A Docker engine for the tests: the one that answers, or a `dockerd` of their own where none does.

Tests of several processes use one engine. What one of them started is stopped by the last that leaves, so that the end
of one test run does not take the engine from another.
"""

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker

from fakes.this_machine import alone, shared_folder
from scout_deploy.processes import ProcessIdentity, identify, stop_processes

_START_S = 120
_STOP_S = 60
_POLL_S = 0.1
_PING_S = 5
_SOCKET = "/var/run/docker.sock"
# What dockerd writes by itself.
_PID_FILE = Path("/var/run/docker.pid")
_LOCK = "docker"


@contextmanager
def docker_engine() -> Iterator[docker.DockerClient]:
    """Yield a client of an engine that answers; one that tests started is stopped when the last of them leaves.

    Raises:
        AssertionError: No engine answers and none can be started; says why.
    """
    if "DOCKER_HOST" in os.environ:
        yield from _client()
        return
    with (shared_folder() / "docker-users").open("w") as users:
        with alone(_LOCK):
            fcntl.flock(users, fcntl.LOCK_SH)
            if not _answers():
                _start()
        try:
            yield from _client()
        finally:
            with alone(_LOCK):
                _leave(users.fileno())


def _client() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    try:
        yield client
    finally:
        client.close()


def _answers() -> bool:
    # docker-py leaves its socket open where nothing listens, and a warning is an error here.
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PING_S)
        try:
            connection.connect(_SOCKET)
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in connection.recv(1024)
        except OSError:
            return False


def _started() -> Path:
    """The file that names the engine that tests started, unmistakably."""
    return shared_folder() / "dockerd"


def _start() -> None:
    program = shutil.which("dockerd")
    if os.getuid() != 0 or program is None:
        raise AssertionError(
            f"no Docker engine answers at {_SOCKET}, and none can be started here: that takes root and the program "
            "dockerd (Debian: apt-get install docker.io); start an engine, or leave out --run-docker"
        )
    log = shared_folder() / "dockerd.log"
    with log.open("wb") as output:
        # Nobody's child, for it may outlive this process.
        subprocess.run(
            ["setsid", "--fork", program], stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=True
        )
    end = time.monotonic() + _START_S
    while not _answers():
        assert time.monotonic() < end, f"dockerd does not answer:\n{log.read_text(errors='replace')[-2000:]}"
        time.sleep(_POLL_S)
    engine = identify(int(_PID_FILE.read_text(encoding="ascii")))
    assert engine is not None
    _started().write_text(engine.model_dump_json(), encoding="ascii")


def _leave(users: int) -> None:
    """Stop the engine where tests started it and nobody else uses it."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    with contextlib.suppress(FileNotFoundError):
        engine = ProcessIdentity.model_validate_json(_started().read_bytes())
        _started().unlink()
        stop_processes([engine], grace_s=_STOP_S)
