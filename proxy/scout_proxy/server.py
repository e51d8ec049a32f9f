"""The proxy as a process: its socket, its HTTP server, and how it stops."""

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import FrameType
from typing import cast

import uvicorn
from uvicorn._types import ASGI3Application

from scout_proxy.app import Proxy, create_proxy
from scout_proxy.config import ProxyConfig
from scout_proxy.http.crowd import Crowd
from scout_proxy.http.http_protocol import BoundedProtocol, Quick
from scout_proxy.logs import configure_logs
from scout_proxy.observation.observer import open_observer
from scout_proxy.observation.spans import TracingError
from scout_proxy.open_files import allow_open_files, open_files_limit
from scout_proxy.route_table import Limits, RouteTableError
from scout_proxy.route_watcher import RouteWatcher
from scout_proxy.settled_memory import settle_memory

_log = logging.getLogger(__name__)

EXIT_BAD_INPUT = 2
EXIT_CANNOT_LISTEN = 4
_BACKLOG = 2048
# What a request that is cut off may take to say so, and its client to take that.
_LAST_WORDS_S = 1.0
# Of the event loop, in which a connection is accepted, read, and its request answered.
_TURNS = 10


class ListenError(Exception):
    """The address cannot be listened on; the message names it, the reason and the next step."""


class ProxyServer(uvicorn.Server):
    """uvicorn's server with a way to stop of its own: it answers until what it has begun is done, then exits with 0."""

    def __init__(self, proxy: Proxy, limits: Callable[[], Limits]) -> None:
        self._limits = limits
        self._refusal = cast("ASGI3Application", proxy.refusal)
        self._crowd = Crowd.of(open_files_limit(), self._refusal)
        self._patience: asyncio.Timeout | None = None
        super().__init__(
            uvicorn.Config(
                proxy.front,
                http=self._protocol(quick=proxy.quick),
                loop="uvloop",
                ws="none",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=_BACKLOG,
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let requests in flight finish for as long as the route table says, then cancel them; new ones are 503."""
        drain_s = self._limits().drain_s
        begun = set(self.server_state.tasks)
        _log.info("stopping", extra={"in_flight": len(begun), "drain_s": drain_s})
        end_s = asyncio.get_running_loop().time() + drain_s
        self._refuse_new()
        await self._wait(begun, 0 if self.force_exit else end_s)
        if late := {task for task in begun if not task.done()}:
            _log.warning("requests are cut off", extra={"in_flight": len(late)})
            for task in late:
                task.cancel()
            await asyncio.wait(late, timeout=_LAST_WORDS_S)
        await self._close_connections(sockets or [], end_s)
        await self.lifespan.shutdown()
        _log.info("stopped")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; the second time, stop waiting for requests."""
        del sig, frame
        self.force_exit, self.should_exit = self.should_exit, True
        if self.force_exit and self._patience is not None:
            self._patience.reschedule(0)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM and SIGINT. Unlike uvicorn's own, it does not raise the signal again at the end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _protocol(self, *, quick: Quick | None = None) -> type[asyncio.Protocol]:
        # uvicorn calls it with keyword arguments alone, so any callable does; its annotation asks for a class.
        return cast(
            "type[asyncio.Protocol]", partial(BoundedProtocol, limits=self._limits, quick=quick, crowd=self._crowd)
        )

    @property
    def _open_connections(self) -> list[BoundedProtocol]:
        return [cast("BoundedProtocol", connection) for connection in self.server_state.connections]

    def _refuse_new(self) -> None:
        self.config.loaded_app = self._refusal
        self.config.http_protocol_class = self._protocol()
        for connection in self._open_connections:
            connection.refuse_new(self._refusal)

    async def _wait(self, what: Iterable[asyncio.Future[None]], end_s: float) -> None:
        """Wait until all is done, but no longer than this, and not after another signal."""
        if not (waiting := set(what)):
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(end_s) as self._patience:
                await asyncio.wait(waiting)
        self._patience = None

    async def _close_connections(self, sockets: list[socket.socket], end_s: float) -> None:
        """Close when what was answered is on its way; a client that does not take it is not waited for longer."""
        # Who has connected and asked by now gets an answer.
        await _turn()
        for server in self.servers:
            server.close()
        for listener in sockets:
            listener.close()
        last_s = asyncio.get_running_loop().time() + _LAST_WORDS_S
        gone = {connection.finish(_LAST_WORDS_S) for connection in self._open_connections}
        await self._wait(gone, last_s if self.force_exit else max(last_s, end_s))
        for connection in self._open_connections:
            connection.transport.abort()
        await _turn()


async def _turn() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)


def serve(config: ProxyConfig) -> int:
    """Serve until a signal, and return the exit code: 2 for bad input, 4 for an address that cannot be had."""
    configure_logs(config.log_format, config.log_level)
    allow_open_files()
    try:
        observer = open_observer(config, os.environ)
        routes = RouteWatcher(config.routes)
        listener = listen(config.host, config.port)
    except RouteTableError as exc:
        return _fail(EXIT_BAD_INPUT, f"{exc}\nThe route table is what `scout-deploy up` writes; name it with --routes.")
    except TracingError as exc:
        return _fail(EXIT_BAD_INPUT, str(exc))
    except ListenError as exc:
        return _fail(EXIT_CANNOT_LISTEN, str(exc))
    _log.info("listening", extra={"url": _url(listener), "deployment": routes.served.table.deployment})
    proxy = create_proxy(routes, reload_interval_s=config.reload_interval_s, on_loaded=settle_memory, observer=observer)
    ProxyServer(proxy, lambda: routes.served.table.limits).run(sockets=[listener])
    return 0


def listen(host: str, port: int) -> socket.socket:
    """Bind and listen.

    Raises:
        ListenError: The address is not of this machine, is in use, or is not allowed to this user.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as exc:
        advice = "; stop what listens there, or choose another --port" if exc.errno == errno.EADDRINUSE else ""
        reason = exc.strerror or str(exc)
        raise ListenError(f"cannot listen on {host} port {port}: {reason}{advice}") from exc


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _fail(code: int, message: str) -> int:
    sys.stderr.write(f"scout_proxy: {message}\n")
    return code
