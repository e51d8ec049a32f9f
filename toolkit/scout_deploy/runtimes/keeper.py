"""Keeps one process running: started, started again when it dies, given up when that does not help."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from scout_deploy.backoff import Backoff
from scout_deploy.deployment import ProcessSpec
from scout_deploy.processes import ProcessIdentity
from scout_deploy.rotating_log import RotatingLog
from scout_deploy.runtimes.child import Child

# As a shell says it.
_CANNOT_BE_STARTED = 127


@dataclass(frozen=True, kw_only=True)
class End:
    """How one life of the process ended.

    Args:
        code: Exit status; negative is a signal's number.
        was_ready: Whether it had become ready in this life.
        timed_out: Whether it was stopped because it did not become ready in time.
        served_s: Seconds it lived.
        delay_s: Seconds until it is started again; None if it is not.
    """

    code: int
    was_ready: bool
    timed_out: bool
    served_s: float
    delay_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class KeeperEvents:
    """What the owner of a keeper wants to hear. Called in the event loop; must not block."""

    started: Callable[[ProcessIdentity | None, int], None]
    line: Callable[[str], None]
    ended: Callable[[End], None]


class Keeper:
    """One process and its lives.

    Until the start was proven there is no second life: a start that failed would fail again.

    Args:
        pick_port: Chooses the port of each life.
        start_timeout_s: Seconds that a life has to become ready.
    """

    def __init__(
        self,
        spec: ProcessSpec,
        *,
        log: RotatingLog,
        environment: Mapping[str, str],
        pick_port: Callable[[], int],
        start_timeout_s: float,
        backoff: Backoff,
        events: KeeperEvents,
    ) -> None:
        self._spec = spec
        self._log = log
        self._environment = environment
        self._pick_port = pick_port
        self._start_timeout_s = start_timeout_s
        self._backoff = backoff
        self._events = events
        self._child: Child | None = None
        self._ready = asyncio.Event()
        self._proven = False
        self._ended = False

    def mark_ready(self) -> None:
        """Note that this life serves now."""
        self._ready.set()

    def mark_proven(self) -> None:
        """Note that the start worked as a whole: from now on a death is followed by another life."""
        self._proven = True

    async def wait_ready(self) -> None:
        """Wait until this life serves."""
        await self._ready.wait()

    @property
    def is_ready(self) -> bool:
        """Whether a life runs and serves."""
        return self._child is not None and self._ready.is_set()

    @property
    def served_s(self) -> float:
        """Seconds that this life has run; 0 while there is none."""
        return self._child.served_s if self._child is not None else 0.0

    def log_tail(self, count: int) -> tuple[str, ...]:
        """Return the last lines of its log, across lives."""
        return self._log.tail(count)

    async def keep(self) -> End | None:
        """Run until the process is given up (its last end) or `stop` was called (None).

        Raises:
            OSError: The process cannot be started, and the start was never proven.
        """
        deaths = 0
        while not self._ended:
            life = await self._try_to_live()
            if self._ended:
                return None
            deaths = self._backoff.deaths_in_a_row(deaths, life.served_s)
            delay_s = self._backoff.delay_s(deaths) if self._proven else None
            end = replace(life, delay_s=delay_s)
            self._events.ended(end)
            if delay_s is None:
                return end
            await asyncio.sleep(delay_s)
        return None

    async def stop(self, *, grace_s: float) -> None:
        """End the process for good: asked first, killed after the grace."""
        self._ended = True
        if self._child is not None:
            await self._child.stop(grace_s=grace_s)

    async def _try_to_live(self) -> End:
        try:
            return await self._live()
        except OSError as exc:
            if not self._proven:
                raise
            # Such as no memory for one more process, just after the last one had taken it all: that passes.
            self._log.write_line(f"cannot be started: {exc}")
            return End(code=_CANNOT_BE_STARTED, was_ready=False, timed_out=False, served_s=0.0)

    async def _live(self) -> End:
        self._ready = asyncio.Event()
        port = self._pick_port()
        child = await Child.start(
            self._spec, port=port, environment=self._environment, log=self._log, on_line=self._events.line
        )
        self._child = child
        self._events.started(child.identity, port)
        timed_out = await self._outlive_start(child)
        code = await child.ended()
        self._child = None
        return End(code=code, was_ready=self._ready.is_set(), timed_out=timed_out, served_s=child.served_s)

    async def _outlive_start(self, child: Child) -> bool:
        """Wait for readiness or the end; stop a child that shows neither in time, and say so."""
        ended = asyncio.create_task(child.ended())
        ready = asyncio.create_task(self._ready.wait())
        done, _ = await asyncio.wait([ended, ready], timeout=self._start_timeout_s, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if not done:
            await child.stop(grace_s=5.0)
        await ended
        return not done
