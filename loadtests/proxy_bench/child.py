"""A process that the benchmark starts: pinned, watched, and ended with it."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import psutil

from proxy_bench.cores import on_core

_LOADTESTS = Path(__file__).parents[1]
_ANSWER_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 15.0
_POLL_S = 0.002
_LOG_CHARS = 2000


class BenchError(Exception):
    """Something broke, so that there is nothing to measure; the message has what it said."""


@dataclass(frozen=True, kw_only=True)
class Child:
    """A running process and those that it started."""

    name: str
    process: psutil.Process
    log: Path

    def cpu_seconds(self) -> float:
        """Return the processor time that it and its children have used so far."""
        times = [process.cpu_times() for process in self._tree()]
        return sum(one.user + one.system for one in times)

    def rss_bytes(self) -> int:
        """Return the memory that it and its children hold, which is not swapped out."""
        return sum(process.memory_info().rss for process in self._tree())

    def descriptors(self) -> int:
        """Return the number of its open files and sockets."""
        return sum(process.num_fds() for process in self._tree())

    def said(self) -> str:
        """Return the end of what it printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-_LOG_CHARS:]

    def _tree(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


@contextmanager
def running(
    name: str, command: Sequence[str], *, core: int | None, folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Child]:
    """Run a command until the block ends, then end it and what it started.

    Args:
        core: The only one that it may use.
        folder: Its log is written there.
    """
    log = folder / f"{name.replace(' ', '-').replace('/', '-')}.log"
    with log.open("wb") as output, on_core(core):
        process = subprocess.Popen(  # noqa: S603  # the commands are the benchmark's own
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=child_environment(environment),
            start_new_session=True,
        )
    try:
        yield Child(name=name, process=psutil.Process(process.pid), log=log)
    finally:
        _end(process)


def child_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This environment, without proxy settings, in which the benchmark's own modules can be run."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return kept | {"PYTHONPATH": str(_LOADTESTS), "PYTHONUNBUFFERED": "1"} | dict(more or {})


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.terminate()
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until_answers(child: Child, url: str, *, timeout_s: float = _ANSWER_TIMEOUT_S, status: int = 200) -> None:
    """Wait for this status at a URL.

    Raises:
        BenchError: It ended, or does not answer in time.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if status_of(url) == status:
            return
        if not child.process.is_running() or child.process.status() == psutil.STATUS_ZOMBIE:
            raise BenchError(f"{child.name} ended before it answered:\n{child.said()}")
        time.sleep(_POLL_S)
    raise BenchError(f"{child.name} did not answer {url} within {timeout_s:g} s:\n{child.said()}")


def status_of(url: str) -> int | None:
    """Return the status of a GET; None where nobody answers."""
    try:
        with urlopen(url, timeout=5) as answer:  # noqa: S310  # the benchmark's own servers
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except (URLError, OSError):
        return None
