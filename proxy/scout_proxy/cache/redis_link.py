"""One connection to a Redis or Valkey server, of any version from 6 on. The only file that imports `redis`."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from redis import exceptions
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection

from scout_proxy.cache.redis_address import RedisAddress, tls_arguments
from scout_proxy.cache.redis_exchange import Command, LinkError, Reply, ReplyError

_MOST_REASON_CHARS = 300
_CLOSE_S = 0.2
_WORDS: tuple[tuple[type[exceptions.RedisError], str], ...] = (
    (exceptions.AuthenticationError, "it refuses the user or the password"),
    (exceptions.NoPermissionError, "this user may not do what the cache needs"),
    (exceptions.OutOfMemoryError, "it is full"),
    (exceptions.ReadOnlyError, "it is a replica, which cannot be written to"),
    (exceptions.BusyLoadingError, "it still loads its data"),
    (exceptions.ClusterDownError, "it does not serve all of its data"),
    (exceptions.AskError, "it is a node of a Redis Cluster; name a single server, or a proxy in front of the cluster"),
)
# What the client raises when the other side does not speak Redis's protocol is not always an error of its own.
_TROUBLE = (exceptions.RedisError, OSError, EOFError, ValueError, TypeError, LookupError, RecursionError)


class RedisLink:
    """Opens its connection when it is needed and throws it away on any trouble. One exchange at a time."""

    def __init__(self, address: RedisAddress) -> None:
        self._address = address
        self._connection = _connection(address)

    async def exchange(self, commands: Sequence[Command], *, timeout_s: float) -> list[Reply]:
        """Send the commands together and return their replies in order.

        Commands have to be such that they can be sent twice: where a connection from before turns out to be lost, which
        a server's restart or its own limit of idle time does, they are sent again on a new one at once.

        Args:
            timeout_s: For all of it, connecting included.

        Raises:
            LinkError: No connection, no answer in time, or not one of Redis's.
        """
        is_over = False
        try:
            async with asyncio.timeout(timeout_s) as limit:
                replies = await self._exchange(commands)
            is_over = True
        except TimeoutError as exc:
            raise LinkError(f"no answer within {timeout_s:g} s", is_own_delay=_is_late(limit, timeout_s)) from exc
        except _TROUBLE as exc:
            # Not chained: what the library says can hold what it sent.
            reason = self._reason(exc)
        else:
            return replies
        finally:
            if not is_over:
                # Also when it was cancelled: replies that are still to come must never answer the next exchange.
                await self._connection.disconnect(nowait=True)
        raise LinkError(reason)

    async def close(self) -> None:
        """Close the connection, which takes a moment with TLS."""
        with suppress(*_TROUBLE):
            async with asyncio.timeout(_CLOSE_S):
                await self._connection.disconnect()

    async def _exchange(self, commands: Sequence[Command]) -> list[Reply]:
        was_connected = self._connection.is_connected
        try:
            if was_connected and await self._connection.can_read():
                # It was closed, or something was said that nobody asked for, which must not answer what is asked now.
                await self._connection.disconnect(nowait=True)
            return await self._exchange_once(commands)
        except (exceptions.ConnectionError, OSError):
            if not was_connected:
                raise
        await self._connection.disconnect(nowait=True)
        return await self._exchange_once(commands)

    async def _exchange_once(self, commands: Sequence[Command]) -> list[Reply]:
        # Connects first where it has to.
        await self._connection.send_packed_command(self._connection.pack_commands(commands), check_health=False)
        return [await self._read() for _ in commands]

    async def _read(self) -> Reply:
        try:
            reply = await self._connection.read_response(disable_decoding=True)
        except exceptions.ResponseError as exc:
            return ReplyError(reason=self._reason(exc), is_wrong_type=str(exc).startswith("WRONGTYPE"))
        if isinstance(reply, bytes):
            return reply
        raise ValueError("it answers with a type that was not asked for")

    def _reason(self, exc: Exception) -> str:
        said = self._address.without_secrets(str(exc)) or type(exc).__name__
        words = next((words for kind, words in _WORDS if isinstance(exc, kind)), None)
        return (f"{words}: {said}" if words else said)[:_MOST_REASON_CHARS]


def _is_late(limit: asyncio.Timeout, timeout_s: float) -> bool:
    due = limit.when()
    return due is not None and asyncio.get_running_loop().time() - due > timeout_s / 2


def _connection(address: RedisAddress) -> AbstractConnection:
    common: dict[str, Any] = {
        "db": address.db,
        "username": address.username,
        "password": address.password,
        # The exchange has one limit for all of it; the client's own would be a timer for each reply.
        "socket_timeout": None,
        "socket_connect_timeout": None,
        # What every server from 6 on speaks, and what needs no HELLO, which some proxies in front of one refuse.
        "protocol": 2,
    }
    if address.path is not None:
        return UnixDomainSocketConnection(path=address.path, **common)
    if address.tls is not None:
        return SSLConnection(host=address.host, port=address.port, **tls_arguments(address.tls), **common)
    return Connection(host=address.host, port=address.port, **common)
