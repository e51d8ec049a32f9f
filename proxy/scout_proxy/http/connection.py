"""What an answer may ask of the connection it goes out on, where the server offers it beside ASGI's messages."""

from collections.abc import Callable, Sequence
from typing import Protocol

from starlette.types import Scope

EXTENSION = "scout_proxy.http.connection"


class Connection(Protocol):
    """One request's connection."""

    def take_body(self) -> bytes | None:
        """Return the request's body where all of it is there and nobody has read of it; None otherwise."""
        ...

    def on_leave(self, leave: Callable[[], None]) -> None:
        """Call `leave` once when the client goes away before its answer is complete; at once where it has gone."""
        ...

    def write_whole(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """Write a whole answer at once; False where its client does not take it now, or one has begun.

        Args:
            headers: With names in lower case, the length of the body among them.
        """
        ...

    def write_chunk(self, data: bytes) -> bool:
        """Write a part of an answer that has begun; False where the client does not take it as fast as it comes."""
        ...

    def give_up(self) -> None:
        """Close it without an end of the answer; a client that takes nothing more is not waited for."""
        ...


def connection_of(scope: Scope) -> Connection | None:
    """Return the connection; None under another server, whose messages alone have to do then."""
    connection: Connection | None = scope.get("extensions", {}).get(EXTENSION)
    return connection
