"""Which core serves and which one loads, and how much of them was used by whom."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_CPU_TIMES = Path("/proc/stat")
_TOPOLOGY = Path("/sys/devices/system/cpu")


class TooFewCoresError(Exception):
    """Side by side on one core would measure the load generator; the message says how many there are."""


@dataclass(frozen=True, kw_only=True)
class Cores:
    """A core for the server that is measured, another for the load generator and the engine."""

    server: int
    load: int


def choose_cores() -> Cores:
    """Take the first core that this process may use, and the next one that is not its other thread.

    Raises:
        TooFewCoresError: There is no second one.
    """
    usable = sorted(os.sched_getaffinity(0))
    server = usable[0]
    for other in usable[1:]:
        if _siblings(server) != _siblings(other):
            return Cores(server=server, load=other)
    raise TooFewCoresError(f"the benchmark needs two cores of their own, this process may use {usable}")


def _siblings(core: int) -> str:
    try:
        return (_TOPOLOGY / f"cpu{core}/topology/thread_siblings_list").read_text(encoding="ascii")
    except OSError:
        return str(core)


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Let the processes that are started in the block run on this core alone; None leaves them all."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1) if core is None else {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True, kw_only=True)
class CoreTimes:
    """Seconds since the machine's start that each core worked, and that it was not idle: interrupts, and what the host
    took of it, are nobody's work.
    """

    server_worked: float
    server_busy: float
    load_worked: float
    load_busy: float


def core_times(cores: Cores) -> CoreTimes:
    """Read both cores' times."""
    times = {line.split()[0]: line.split()[1:] for line in _CPU_TIMES.read_text(encoding="ascii").splitlines()}
    server_worked, server_busy = _worked_and_busy(times[f"cpu{cores.server}"])
    load_worked, load_busy = _worked_and_busy(times[f"cpu{cores.load}"])
    return CoreTimes(server_worked=server_worked, server_busy=server_busy, load_worked=load_worked, load_busy=load_busy)


def _worked_and_busy(fields: list[str]) -> tuple[float, float]:
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
    worked = user + nice + system
    return worked / _TICKS, (worked + irq + softirq + steal) / _TICKS
