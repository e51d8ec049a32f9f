"""A Docker daemon's Unix socket, on a port of loopback: to the product, a daemon on another machine."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_CHUNK_BYTES = 64 * 1024


@contextmanager
def docker_over_tcp(path: str = "/var/run/docker.sock") -> Iterator[str]:
    """Forward connections while the block lasts, and give the address for DOCKER_HOST."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_accept, args=(server, path), daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        # What waits in accept does not notice a close.
        server.shutdown(socket.SHUT_RDWR)


def _accept(server: socket.socket, path: str) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_forward, args=(client, path), daemon=True).start()


def _forward(client: socket.socket, path: str) -> None:
    with client, socket.socket(socket.AF_UNIX) as daemon:
        daemon.connect(path)
        asking = threading.Thread(target=_pour, args=(client, daemon), daemon=True)
        asking.start()
        _pour(daemon, client)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
        asking.join()


def _pour(source: socket.socket, target: socket.socket) -> None:
    """Move bytes until the source ends, and pass its end on: streams of logs depend on half-closed connections."""
    with contextlib.suppress(OSError):
        while chunk := source.recv(_CHUNK_BYTES):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)
