"""One run of one process: started, its lines read, its end reported."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping

from scout_deploy.deployment import PORT_PLACEHOLDER, ProcessSpec
from scout_deploy.processes import ProcessIdentity, identify
from scout_deploy.rotating_log import RotatingLog

_CHUNK_BYTES = 65_536


class Child:
    """A running process whose output goes to a log and, line by line, to `on_line`.

    Use `Child.start`; then await `ended()` once.
    """

    def __init__(self, process: asyncio.subprocess.Process, reader: asyncio.Task[None], started: float) -> None:
        self._process = process
        self._reader = reader
        self._started = started
        self.identity: ProcessIdentity | None = identify(process.pid)

    @classmethod
    async def start(
        cls,
        spec: ProcessSpec,
        *,
        port: int,
        environment: Mapping[str, str],
        log: RotatingLog,
        on_line: Callable[[str], None],
    ) -> "Child":
        """Start the process in a session of its own, so that a terminal's Ctrl-C is the supervisor's to pass on.

        Raises:
            OSError: The command cannot be started.
        """
        argv = [str(port) if part == PORT_PLACEHOLDER else part for part in spec.argv]
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **environment, **spec.environment},
            start_new_session=True,
        )
        reader = asyncio.create_task(_read_lines(process.stdout, log, on_line))
        return cls(process, reader, time.monotonic())

    @property
    def served_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    async def ended(self) -> int:
        """Wait for the end, and for the last line to be read; return the status (negative: a signal's number)."""
        code = await self._process.wait()
        # A grandchild may keep the pipe open; the log's last lines are not worth waiting for it.
        await asyncio.wait([self._reader], timeout=1.0)
        self._reader.cancel()
        return code

    async def stop(self, *, grace_s: float) -> None:
        """Ask it to end, and kill it after the grace."""
        if self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(grace_s):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


async def _read_lines(stream: asyncio.StreamReader | None, log: RotatingLog, on_line: Callable[[str], None]) -> None:
    if stream is None:
        return
    # Not readline(): it gives up on a line longer than its buffer, and an engine may print anything.
    rest = b""
    while chunk := await stream.read(_CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            _deliver(line, log, on_line)
        if len(rest) > _CHUNK_BYTES:
            _deliver(rest, log, on_line)
            rest = b""
    if rest:
        _deliver(rest, log, on_line)


def _deliver(line: bytes, log: RotatingLog, on_line: Callable[[str], None]) -> None:
    text = line.decode("utf-8", "replace").rstrip("\r")
    log.write_line(text)
    on_line(text)
