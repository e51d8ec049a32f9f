"""What goes over a link to Redis and what comes back. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

Command = tuple[bytes | int, ...]


class LinkError(Exception):
    """An exchange failed as a whole; the message is why, without secrets.

    Args:
        is_own_delay: This process was so late itself that it says nothing about the server.
    """

    def __init__(self, reason: str, *, is_own_delay: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_own_delay = is_own_delay


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplyError:
    """The server refused one command of an exchange.

    Args:
        is_wrong_type: Because something else lies under the key.
    """

    reason: str
    is_wrong_type: bool = False


Reply = bytes | ReplyError
"""Every command of ours is answered with a string."""


class Link(Protocol):
    """Carries one exchange at a time."""

    async def exchange(self, commands: Sequence[Command], *, timeout_s: float) -> list[Reply]:
        """Send the commands together and return their replies in order.

        Raises:
            LinkError: There are none; nothing of this exchange reaches another one.
        """

    async def close(self) -> None:
        """Close the connection."""
