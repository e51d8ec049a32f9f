"""The proxy as a process: its socket, its HTTP server, and how it stops."""

import asyncio
import contextlib
import errno
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import cast

import uvicorn

from scout_proxy.app import create_app
from scout_proxy.config import ProxyConfig
from scout_proxy.http_protocol import BoundedProtocol
from scout_proxy.logs import configure_logs
from scout_proxy.route_table import Limits, RouteTableError
from scout_proxy.route_watcher import RouteWatcher

_log = logging.getLogger(__name__)

EXIT_BAD_INPUT = 2
EXIT_CANNOT_LISTEN = 4
_BACKLOG = 2048


class ListenError(Exception):
    """The address cannot be listened on; the message names it, the reason and the next step."""


class ProxyServer(uvicorn.Server):
    """uvicorn's server that stops with the drain time of the moment, and whose process then exits with 0."""

    def __init__(self, app: Callable[..., object], limits: Callable[[], Limits]) -> None:
        self._limits = limits
        super().__init__(
            uvicorn.Config(
                app,
                # uvicorn calls it with keyword arguments alone, so any callable does; its annotation asks for a class.
                http=cast("type[asyncio.Protocol]", partial(BoundedProtocol, limits=limits)),
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
        """Let requests in flight finish for as long as the route table says, then cancel them."""
        drain_s = self._limits().drain_s
        _log.info("stopping", extra={"in_flight": len(self.server_state.tasks), "drain_s": drain_s})
        # uvicorn hands it to asyncio.wait_for, which takes fractions.
        self.config.timeout_graceful_shutdown = cast("int", drain_s)
        await super().shutdown(sockets)
        _log.info("stopped")

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


def serve(config: ProxyConfig) -> int:
    """Serve until a signal, and return the exit code: 2 for a bad route table, 4 for an address that cannot be had."""
    configure_logs(config.log_format, config.log_level)
    try:
        routes = RouteWatcher(config.routes)
        listener = listen(config.host, config.port)
    except RouteTableError as exc:
        return _fail(EXIT_BAD_INPUT, f"{exc}\nThe route table is what `scout-deploy up` writes; name it with --routes.")
    except ListenError as exc:
        return _fail(EXIT_CANNOT_LISTEN, str(exc))
    _log.info("listening", extra={"url": _url(listener), "deployment": routes.served.table.deployment})
    app = create_app(routes, reload_interval_s=config.reload_interval_s)
    ProxyServer(app, lambda: routes.served.table.limits).run(sockets=[listener])
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
