"""A server in a thread that says the same bytes to each connection once something was asked, and closes it."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def canned_server(words: bytes, *, resets: bool = False, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Yield its address.

    Args:
        resets: End with a reset instead of an end.
        tls: Speak TLS, as it says.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_serve, args=(server, words, resets, tls))
        thread.start()
        try:
            yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.getsockname()[1]}"
        finally:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(server: socket.socket, words: bytes, resets: bool, tls: ssl.SSLContext | None) -> None:
    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            with suppress(OSError), _spoken_to(connection, tls) as connection:
                connection.recv(65536)
                connection.sendall(words)
                if resets:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                else:
                    connection.shutdown(socket.SHUT_WR)
                    connection.recv(65536)


def _spoken_to(connection: socket.socket, tls: ssl.SSLContext | None) -> socket.socket:
    try:
        return connection if tls is None else tls.wrap_socket(connection, server_side=True)
    except OSError:
        connection.close()
        raise
