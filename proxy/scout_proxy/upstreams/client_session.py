"""Connections to upstreams, kept for the next request: no limit of their number, no cookies, no proxy settings."""

import asyncio
import errno
import ssl
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from scout_proxy.upstreams.client_answer import ClientAnswer, NoAnswerError
from scout_proxy.upstreams.host_addresses import HostAddresses, Resolve

_CONNECT_TIMEOUT_S = 5.0
# Below the 5 s after which common servers close an idle connection, so that none is used while it is being closed.
_KEEP_ALIVE_S = 4.0
_NO_FILE_LEFT = {errno.EMFILE, errno.ENFILE}
_PORTS = {"http": 80, "https": 443}


class ConnectError(Exception):
    """No connection could be made; the message says why."""


class NoFileLeftError(ConnectError):
    """It is not for the upstream's sake: this process, or this machine, has too many files open."""

    def __init__(self) -> None:
        super().__init__("too many files are open")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an upstream listens.

    Raises:
        ValueError: From `parse`, where the URL is no http address.
    """

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str) -> "Origin":
        """Read a base URL; its path comes before every path that is asked for."""
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError(url)
        return cls(parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme], parts.path.rstrip("/"))

    @property
    def authority(self) -> str:
        """Value of `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


class ClientConnection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._answer: ClientAnswer | None = None
        self._is_paused = False
        self.idle_since_s = 0.0

    @property
    def is_open(self) -> bool:
        """Whether another request can be sent on it."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        # uvloop's transports have the methods and not the class.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Give what comes to the answer that is waited for; a server that speaks unasked is not understood."""
        if self._answer is None or self._answer.is_complete:
            self.abort()
        else:
            self._answer.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the answer that is waited for."""
        self._transport = None
        if self._answer is not None:
            reason = "the server closed the connection" if exc is None else str(exc) or type(exc).__name__
            self._answer.end(reason)

    def ask(self, request: bytes, *, in_pieces: bool) -> ClientAnswer:
        """Send a request, and return its answer before it has come."""
        answer = self._answer = ClientAnswer(in_pieces=in_pieces, flow=self)
        if self._transport is None:
            answer.fail(NoAnswerError("the server closed the connection"))
        else:
            self._transport.write(request)
        return answer

    @property
    def has_sent_all(self) -> bool:
        """Whether nothing of the request is left; a server can answer before it has read it."""
        return self._transport is not None and not self._transport.get_write_buffer_size()

    def forget(self) -> None:
        """Have no answer any more."""
        self._answer = None

    def abort(self) -> None:
        """Close at once, by which the engine stops working on what was asked."""
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """Read nothing more for now, by which the server has to wait."""
        if self.is_open and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on, where reading was paused."""
        if self._is_paused and self.is_open and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()


class Exchange:
    """A request that was sent, and its answer. Left before the answer's end, it closes the connection."""

    def __init__(self, session: "Session", origin: Origin, connection: ClientConnection, answer: ClientAnswer) -> None:
        self._session = session
        self._origin = origin
        self._connection = connection
        self.answer = answer

    def close(self) -> None:
        """Keep the connection for the next request, or close it."""
        self._connection.forget()
        self.answer.close()
        if self.answer.is_complete and self.answer.is_reusable and self._connection.has_sent_all:
            self._connection.resume()
            self._session.keep(self._origin, self._connection)
        else:
            self._connection.abort()


class Session:
    """Needs a running event loop. Whoever opens it closes it.

    Args:
        resolve: Gives the addresses of a name; None asks this machine's own.
        connect_timeout_s: For a name's addresses and all of them together.
        keep_alive_s: How long a connection is kept that is not used.
    """

    def __init__(
        self,
        *,
        resolve: Resolve | None = None,
        connect_timeout_s: float = _CONNECT_TIMEOUT_S,
        keep_alive_s: float = _KEEP_ALIVE_S,
    ) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._keep_alive_s = keep_alive_s
        self._loop = asyncio.get_running_loop()
        self._addresses = HostAddresses(resolve)
        self._idle: dict[Origin, list[ClientConnection]] = {}
        self._tls: ssl.SSLContext | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._is_closed = False

    async def __aenter__(self) -> "Session":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def send(self, origin: Origin, request: bytes, *, in_pieces: bool = False) -> Exchange:
        """Send a request on a kept connection, or on a new one.

        Raises:
            ConnectError: None can be had, or not in time.
        """
        connection = self._take(origin) or await self._connect(origin)
        return Exchange(self, origin, connection, connection.ask(request, in_pieces=in_pieces))

    def keep(self, origin: Origin, connection: ClientConnection) -> None:
        """Keep a connection for the next request."""
        if self._is_closed or not connection.is_open:
            connection.abort()
            return
        connection.idle_since_s = self._loop.time()
        self._idle.setdefault(origin, []).append(connection)
        if self._sweep is None:
            self._sweep = self._loop.call_later(self._keep_alive_s, self._close_idle)

    async def close(self) -> None:
        """Close every connection that is kept; those in use close when they are done."""
        self._is_closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()
        self._idle.clear()
        # A transport tells its protocol that it is gone in the loop's next turn.
        await asyncio.sleep(0)

    def _take(self, origin: Origin) -> ClientConnection | None:
        connections = self._idle.get(origin)
        while connections:
            connection = connections.pop()
            if connection.is_open and self._loop.time() - connection.idle_since_s < self._keep_alive_s:
                return connection
            connection.abort()
        return None

    def _close_idle(self) -> None:
        """Close what was not used for long; the newest stand last."""
        oldest_s = self._loop.time() - self._keep_alive_s
        for origin, connections in list(self._idle.items()):
            kept = []
            for connection in connections:
                if connection.is_open and connection.idle_since_s > oldest_s:
                    kept.append(connection)
                else:
                    connection.abort()
            if kept:
                self._idle[origin] = kept
            else:
                del self._idle[origin]
        self._sweep = self._loop.call_later(self._keep_alive_s, self._close_idle) if self._idle else None

    async def _connect(self, origin: Origin) -> ClientConnection:
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                return await self._connect_to_any(origin)
        except TimeoutError as exc:
            raise ConnectError(f"it accepted no connection within {self._connect_timeout_s:g} s") from exc

    async def _connect_to_any(self, origin: Origin) -> ClientConnection:
        failure: OSError | None = None
        try:
            addresses = await self._addresses.find(origin.host, origin.port)
        except OSError as exc:
            raise ConnectError(exc.strerror or str(exc)) from exc
        for address in addresses:
            try:
                return await self._connect_to(origin, address)
            except OSError as exc:
                if exc.errno in _NO_FILE_LEFT:
                    raise NoFileLeftError from exc
                failure = exc
        raise ConnectError((failure and (failure.strerror or str(failure))) or "it has no address")

    async def _connect_to(self, origin: Origin, address: str) -> ClientConnection:
        tls = self._tls_context() if origin.scheme == "https" else None
        _, connection = await self._loop.create_connection(
            lambda: ClientConnection(self._loop),
            address,
            origin.port,
            ssl=tls,
            server_hostname=origin.host if tls else None,
        )
        return connection

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls
