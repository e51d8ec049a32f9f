"""Opens many connections to a port and keeps them until its input ends: `python idle_clients.py PORT COUNT [REQUEST]`.

A process of its own, since it needs as many open files. Prints how many it has, or why it has fewer.
"""

import resource
import socket
import sys

# Below what the kernel keeps for a server that is slow to accept, and then forgets.
_BATCH = 500
_TIMEOUT_S = 100


def main() -> None:
    """Connect, tell, and wait."""
    port, count = int(sys.argv[1]), int(sys.argv[2])
    request = sys.argv[3].encode() if len(sys.argv) > 3 else b""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    connections = []
    for number in range(1, count + 1):
        connection = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S)
        connection.sendall(request)
        connections.append(connection)
        if number % _BATCH == 0:
            _wait_until_accepted(port)
    sys.stdout.write(f"{len(connections)}\n")
    sys.stdout.flush()
    sys.stdin.read()


def _wait_until_accepted(port: int) -> None:
    """Return when a connection is answered, for which those before it have been accepted."""
    with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        while connection.recv(65536):
            pass


if __name__ == "__main__":
    main()
