"""Reads a request body within its limits, and notices when the client goes away meanwhile."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from starlette.types import Receive

from scout_proxy.errors import BodyTimeoutError, BodyTooLargeError, ClientGoneError
from scout_proxy.http.connection import Connection
from scout_proxy.route_table import Limits

_T = TypeVar("_T")


# Of a body that is too large, so much is read and thrown away before the answer: most clients read only when they have
# sent everything, and a connection closed before that takes the answer with it.
_MAX_DISCARDED_BYTES = 64 * 1024 * 1024


async def read_body(
    headers: Mapping[bytes, bytes], receive: Receive, limits: Limits, connection: Connection | None = None
) -> bytes:
    """Read the whole body.

    Args:
        headers: By their names in lower case.
        connection: May have all of it there already.

    Nothing is read of a too large one whose client waits to be asked for it (`Expect: 100-continue`).

    Raises:
        BodyTooLargeError: It is larger than the limit.
        BodyTimeoutError: It did not arrive in time.
        ClientGoneError: The client closed the connection.
    """
    if connection is not None and (here := connection.take_body()) is not None:
        if len(here) > limits.max_body_bytes:
            raise BodyTooLargeError(limits.max_body_bytes)
        return here
    body = _Body(limits.max_body_bytes, declared_bytes=int(headers.get(b"content-length", 0)))
    if not (body.is_too_large and b"expect" in headers):
        try:
            async with asyncio.timeout(limits.body_timeout_s):
                await body.read(receive)
        except TimeoutError as exc:
            if not body.is_too_large:
                raise BodyTimeoutError(limits.body_timeout_s) from exc
    if body.is_too_large:
        raise BodyTooLargeError(limits.max_body_bytes)
    return bytes(body.content)


class _Body:
    def __init__(self, max_bytes: int, *, declared_bytes: int) -> None:
        self.content = bytearray()
        self.is_too_large = declared_bytes > max_bytes
        self._max_bytes = max_bytes
        self._discarded_bytes = 0

    async def read(self, receive: Receive) -> None:
        more = True
        while more and self._discarded_bytes <= _MAX_DISCARDED_BYTES:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            self._take(message.get("body", b""))
            more = message.get("more_body", False)

    def _take(self, chunk: bytes) -> None:
        self.is_too_large = self.is_too_large or len(self.content) + len(chunk) > self._max_bytes
        if self.is_too_large:
            self.content.clear()
            self._discarded_bytes += len(chunk)
        else:
            self.content += chunk


async def while_connected(receive: Receive, work: Coroutine[Any, Any, _T], connection: Connection | None = None) -> _T:
    """Await `work` for a client whose body has been read; cancel it when the client goes away.

    Args:
        connection: Tells that it goes; without one, `receive` does.

    Raises:
        ClientGoneError: It went away.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.ensure_future(_disconnected(receive) if connection is None else _left(connection))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientGoneError
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


def _left(connection: Connection) -> asyncio.Future[None]:
    left = asyncio.get_running_loop().create_future()

    def leave() -> None:
        if not left.done():
            left.set_result(None)

    connection.on_leave(leave)
    return left


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
