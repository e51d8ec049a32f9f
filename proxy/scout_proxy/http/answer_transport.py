"""The connection as an answer sees it."""

import asyncio
from collections.abc import Callable


class AnswerTransport(asyncio.Transport):
    """Writes to a connection; closing it is left to its protocol, which knows what the client still sends."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        super().__init__()
        self._transport = transport
        self._close = close

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write to the connection."""
        self._transport.write(data)

    def is_closing(self) -> bool:
        """Whether the connection is being closed."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Say that no more is answered on it."""
        self._close()
