"""What tests of several processes, or of several checkouts, share on one machine: one thing at a time, and ports."""

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOOPBACK = "127.0.0.1"
# Below what Linux gives to connections, to port 0 and, as Docker follows it, to published ports (ip_local_port_range):
# a port that was free a moment ago stays free.
_FIRST_PORT, _PORTS = 20_000, 10_000


def shared_folder() -> Path:
    """Return this user's folder for what the tests share."""
    folder = Path(tempfile.gettempdir(), f"scout-tests-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@contextmanager
def alone(what: str) -> Iterator[None]:
    """Let one process at a time into the block, whichever checkout it is of."""
    with (shared_folder() / f"{what}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def unused_port() -> int:
    """Return a port of loopback that nobody listens on, and that no other test on this machine gets soon."""
    counter = shared_folder() / "next-port"
    with alone("ports"):
        number = int(counter.read_text(encoding="ascii")) if counter.exists() else 0
        port = next(
            candidate for offset in range(_PORTS) if _is_unused(candidate := _FIRST_PORT + (number + offset) % _PORTS)
        )
        counter.write_text(str(port - _FIRST_PORT + 1), encoding="ascii")
    return port


def _is_unused(port: int) -> bool:
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((_LOOPBACK, port))
        except OSError:
            return False
    return True
