"""Addresses of names, remembered for a moment: a container that is started again has another one under its name."""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from typing import TypeAlias

_REMEMBERED_S = 1.0

# Gives the addresses of a name, the best first; raises OSError where it is not known.
Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]


class HostAddresses:
    """Needs a running event loop.

    Args:
        resolve: Asked for what is not remembered; None is this machine's own resolver.
    """

    def __init__(self, resolve: Resolve | None = None) -> None:
        self._resolve = resolve or _ask_system
        self._known: dict[tuple[str, int], tuple[float, list[str]]] = {}
        self._asked: dict[tuple[str, int], asyncio.Task[list[str]]] = {}

    async def find(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host; an address is its own.

        Raises:
            OSError: The name is not known.
        """
        if _is_address(host):
            return [host]
        place = host, port
        until_s, addresses = self._known.get(place, (0.0, []))
        if asyncio.get_running_loop().time() < until_s:
            return addresses
        task = self._asked.get(place)
        if task is None:
            task = self._asked[place] = asyncio.ensure_future(self._ask(place))
            task.add_done_callback(lambda _: self._asked.pop(place, None))
        # Many may wait for one answer: one that gives up leaves it to the others.
        return await asyncio.shield(task)

    async def _ask(self, place: tuple[str, int]) -> list[str]:
        addresses = await self._resolve(*place)
        self._known[place] = asyncio.get_running_loop().time() + _REMEMBERED_S, addresses
        return addresses


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _ask_system(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
