"""How the fake engine waits: for a time, for a test's word, and only for as long as its client is there."""

import asyncio
from collections import deque
from itertools import repeat

_LOOK_S = 0.002


class Gate:
    """Holds generations back until a test lets them go on: whole ones before they answer, streams before each token."""

    def __init__(self) -> None:
        self._passes: deque[None] = deque()
        self._is_open = False

    def let(self, count: int = 1) -> None:
        """Let so many answers or tokens pass."""
        self._passes.extend(repeat(None, count))

    def open(self) -> None:
        """Let everything pass from now on."""
        self._is_open = True

    async def wait(self) -> None:
        while not self._is_open:
            if self._passes:
                self._passes.popleft()
                return
            await asyncio.sleep(_LOOK_S)


async def left(reader: asyncio.StreamReader) -> None:
    """Return when the client is gone; takes nothing of what it sends meanwhile."""
    while True:
        if reader.at_eof() or reader.exception():
            return
        await asyncio.sleep(_LOOK_S)


async def wait(reader: asyncio.StreamReader, delay_s: float) -> bool:
    """Return False when the client went away meanwhile."""
    if delay_s <= 0:
        return True
    leaving = asyncio.ensure_future(reader.read(1))
    done, _ = await asyncio.wait({leaving}, timeout=delay_s)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    return not done
