"""Listen, serve, drain: the only file that imports uvicorn."""

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from scout_engine.errors import ArgumentError, PortInUseError

_BACKLOG = 2048
# Longer than any client keeps an idle connection: the one that closes first loses no request to the race.
_KEEP_ALIVE_S = 620


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that holds the address without listening: until `serve` connections to it are refused.

    Raises:
        PortInUseError: Another socket has the address, or this user may not.
        ArgumentError: The host is no address of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ArgumentError(
            f"--host {host!r} cannot be resolved: {error.strerror}; give an address of this machine"
        ) from error
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise _cannot_bind(host, port, error) from error
    return bound


def _cannot_bind(host: str, port: int, error: OSError) -> PortInUseError | ArgumentError:
    if error.errno == errno.EADDRINUSE:
        return PortInUseError(f"port {port} on {host} is taken by another process; stop it or give another --port")
    if error.errno == errno.EACCES:
        return PortInUseError(f"port {port} on {host} needs more rights than this user has; give a --port above 1023")
    return ArgumentError(f"--host {host!r} cannot be listened on: {error.strerror}; give an address of this machine")


def url_of(bound: socket.socket) -> str:
    """Return the URL of a bound socket, with the port that the system chose."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, which would end the process by the signal after all."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(app: ASGIApp, bound: socket.socket, *, drain_s: int, listening: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT, then let requests in flight end; a second signal ends them at once.

    Args:
        app: What to serve.
        bound: From `bind`; closed on return.
        drain_s: Seconds of grace.
        listening: Called once connections are accepted.

    Raises:
        PortInUseError: Another process began to listen on the address in the meantime.
    """
    host, port = bound.getsockname()[:2]
    try:
        bound.listen(_BACKLOG)
    except OSError as error:
        raise _cannot_bind(host, port, error) from error
    server = _Server(
        uvicorn.Config(
            app,
            loop="none",
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=drain_s,
        )
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, server)
    listening()
    await server.serve([bound])


def _stop(server: uvicorn.Server) -> None:
    server.force_exit = server.should_exit
    server.should_exit = True
