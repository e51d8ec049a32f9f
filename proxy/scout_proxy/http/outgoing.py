"""An answer on its way to its client: whole, or begun and then written piece by piece."""

from collections.abc import Iterable
from typing import TypeAlias

from starlette.types import Message, Send

from scout_proxy.http.connection import Connection

RawHeader: TypeAlias = tuple[bytes, bytes]


class Outgoing:
    """Sends one answer.

    Args:
        added: Headers of every answer of this request, such as its id; they come last.
        is_direct: Nobody wraps `send`, so that an answer may go past it.

    Attributes:
        status: Of the answer, once it has begun.
        is_given_up: Whether its client takes no more of it.
    """

    def __init__(
        self,
        send: Send,
        connection: Connection | None,
        added: Iterable[RawHeader] = (),
        *,
        is_direct: bool = False,
    ) -> None:
        self._send = send
        self._connection = connection
        self._added = added
        self._direct = connection if is_direct else None
        self.status: int | None = None
        self.is_given_up = False

    async def whole(self, status: int, headers: Iterable[RawHeader], body: bytes) -> None:
        """Send all of it, in one write where the connection offers it."""
        sized = [*headers, (b"content-length", b"%d" % len(body))]
        if self._direct is not None and self._direct.write_whole(status, (*sized, *self._added), body):
            self.status = status
            return
        await self.begin(status, sized)
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def begin(self, status: int, headers: Iterable[RawHeader]) -> None:
        """Send status and headers."""
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": [*headers, *self._added]})

    def write_now(self, data: bytes) -> bool:
        """Write without waiting; False where that cannot be, and nothing was written."""
        return self._connection is not None and self._connection.write_chunk(data)

    async def write(self, data: bytes) -> None:
        """Write as soon as the client takes it."""
        message: Message = {"type": "http.response.body", "body": data, "more_body": True}
        await self._send(message)

    async def end(self, data: bytes = b"") -> None:
        """Write the last piece."""
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    def give_up(self) -> None:
        """Close the connection in the middle of the answer."""
        self.is_given_up = True
        if self._connection is not None:
            self._connection.give_up()
