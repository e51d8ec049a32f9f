"""One link to Redis and the task that alone uses it: it takes the work that waits, probes, and rests after failures."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from scout_proxy.background import start_in_background, stop
from scout_proxy.cache.circuit_breaker import CircuitBreaker
from scout_proxy.cache.redis_exchange import Command, Link, LinkError, Reply, ReplyError

_DOUBTFUL_PROBE_S = 0.1


class Work(Protocol):
    """What waits for a lane. The lane calls these one after the other, never two at once."""

    def take(self) -> Sequence[Command]:
        """Return the commands of the next exchange; none where nothing waits."""

    def settle(self, replies: Sequence[Reply]) -> None:
        """Take the replies to what was taken last."""

    def set_back(self) -> None:
        """Learn that what was taken last has no replies."""

    def give_up(self) -> None:
        """Learn that nothing is asked for a while."""


class Lane:
    """Starts at once, with a probe, and asks nothing else before one went well; needs a running event loop.

    Args:
        probe: A command that shows whether what this lane does can be done.
        timeout_s: For one exchange.
        connect_timeout_s: For one while it is not known to work. Nobody waits then, so that connecting may take the
            time of a TLS handshake with a far server.
        idle_probe_s: Seconds without work after which it is probed, so that its state stays true.
        on_change: Called when it is known to work or to fail, for the first time and after every change.
    """

    def __init__(
        self,
        name: str,
        link: Link,
        work: Work,
        *,
        probe: Command,
        timeout_s: float,
        connect_timeout_s: float,
        idle_probe_s: float,
        on_change: Callable[[], None],
    ) -> None:
        self.reason = "its task ended by a defect, which the log has"
        self.errors = 0
        self._link = link
        self._work = work
        self._probe_command = probe
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._idle_probe_s = idle_probe_s
        self._on_change = on_change
        self._breaker = CircuitBreaker(is_open=True)
        self._is_known = False
        self._wake = asyncio.Event()
        self._look = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._task = start_in_background(self._run(), f"{name} of the shared cache")

    @property
    def is_working(self) -> bool:
        """Whether what is given to it now will be asked."""
        return not self._breaker.is_open and not self._task.done()

    @property
    def has_failed(self) -> bool:
        """Whether it is known not to work."""
        return (self._is_known and self._breaker.is_open) or self._task.done()

    def wake(self) -> None:
        """Look at the work again."""
        self._is_idle.clear()
        self._wake.set()

    def look_again(self) -> None:
        """Take what is known of it for outdated, and probe without waiting for the end of a rest."""
        self._is_known = False
        self._look.set()

    async def finish(self, within_s: float) -> None:
        """Ask what still waits, if it can be asked now and does not take longer than this."""
        if self.is_working:
            await _wait(self._is_idle, within_s)

    async def close(self) -> None:
        """Stop, and let go of what waits."""
        await stop(self._task)
        self._work.give_up()
        await self._link.close()

    async def _run(self) -> None:
        try:
            while True:
                await self._step()
        finally:
            # Whatever ended this, nobody may wait for it any longer.
            self._work.give_up()

    async def _step(self) -> None:
        if self._breaker.is_open:
            await _wait(self._look, self._breaker.rest_s)
            self._look.clear()
            await self._probe()
            return
        self._wake.clear()
        if commands := self._work.take():
            await self._ask(commands)
            return
        self._is_idle.set()
        if not await _wait(self._wake, _DOUBTFUL_PROBE_S if self._breaker.failures else self._idle_probe_s):
            await self._probe()

    async def _ask(self, commands: Sequence[Command]) -> None:
        try:
            replies = await self._link.exchange(commands, timeout_s=self._timeout_s)
        except LinkError as exc:
            self._work.set_back()
            self._note(exc.reason, counts=not exc.is_own_delay)
            return
        self._work.settle(replies)
        self._note(_trouble(replies))

    async def _probe(self) -> None:
        try:
            if self._breaker.is_open:
                await self._link.exchange([self._probe_command], timeout_s=self._connect_timeout_s)
            # Once connected, it has to be as quick as requests need it.
            replies = await self._link.exchange([self._probe_command], timeout_s=self._timeout_s)
        except LinkError as exc:
            self._note(exc.reason, counts=not exc.is_own_delay)
        else:
            self._note(_trouble(replies))

    def _note(self, trouble: str | None, *, counts: bool = True) -> None:
        was_open = self._breaker.is_open
        if trouble is None:
            self._breaker.succeed()
        else:
            self.errors += 1
            self.reason = trouble
            if counts or was_open:
                self._breaker.fail()
        if self._breaker.is_open == was_open and self._is_known:
            return
        self._is_known = True
        if self._breaker.is_open:
            self._work.give_up()
            self._is_idle.set()
        self._on_change()


def _trouble(replies: Sequence[Reply]) -> str | None:
    """Return what the replies say against the server itself; another type under one key says nothing of it."""
    refusals = (reply for reply in replies if isinstance(reply, ReplyError) and not reply.is_wrong_type)
    return next((refusal.reason for refusal in refusals), None)


async def _wait(event: asyncio.Event, within_s: float) -> bool:
    """Return whether it was set within this time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            return await event.wait()
    return False
