"""Processes of this machine. The only file that imports psutil.

A pid alone names nobody: it is reused. A process is its pid and its start time together.
"""

import contextlib
import errno
import os
import signal
import socket
import time
from collections.abc import Iterable
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

from scout_deploy.cgroup_memory import memory_left

_KILL_GRACE_S = 5.0
_POLL_S = 0.01


class ProcessIdentity(BaseModel):
    """One process, unmistakably.

    Args:
        created_s: Start time for people, seconds since the epoch; it moves when the clock is set.
        birth: Tells this start from every other one, however the clock is set meanwhile.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int
    created_s: float
    birth: str


def identify(pid: int) -> ProcessIdentity | None:
    """Name the process that has this pid now; None if there is none, or only its unreaped remains."""
    process = _live(pid)
    return None if process is None else _identity(process)


def is_alive(identity: ProcessIdentity) -> bool:
    """Tell whether this very process still runs; a reused pid is somebody else."""
    return _resolve(identity) is not None


def resident_bytes(identity: ProcessIdentity) -> int | None:
    """Return the resident memory, or None if the process is gone."""
    process = _resolve(identity)
    with contextlib.suppress(psutil.Error):
        return None if process is None else int(process.memory_info().rss)
    return None


def available_bytes() -> int:
    """Return the memory of this machine that new processes can have."""
    return int(psutil.virtual_memory().available)


def available_here_bytes() -> int:
    """Return the memory that processes of ours can have: the machine's, as far as a container's limit allows."""
    left = memory_left()
    return available_bytes() if left is None else min(available_bytes(), left)


def memory_bytes() -> int:
    """Return the memory that this machine has."""
    return int(psutil.virtual_memory().total)


def marked_processes(variable: str, value: str) -> tuple[ProcessIdentity, ...]:
    """Find this user's processes that were started with this environment variable, our own line of parents left out.

    It finds what a killed supervisor left behind, also what it had no time to write down.
    """
    own = psutil.Process()
    spared = {own.pid, *(parent.pid for parent in own.parents())}
    found = []
    for process in psutil.process_iter():
        # Others' processes hide their environment, and any of them can end while it is read.
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid in spared or process.uids().real != os.getuid():
                continue
            if process.environ().get(variable) == value and process.status() != psutil.STATUS_ZOMBIE:
                found.append(_identity(process))
    return tuple(found)


def stop_processes(identities: Iterable[ProcessIdentity], *, grace_s: float) -> tuple[ProcessIdentity, ...]:
    """Ask each to end, kill what is left after the grace, and return those that had to be killed."""
    asked = tuple(identities)
    for identity in asked:
        _signal(identity, signal.SIGTERM)
    stubborn = _outlived(asked, grace_s)
    for identity in stubborn:
        _signal(identity, signal.SIGKILL)
    _outlived(stubborn, _KILL_GRACE_S)
    return stubborn


def _signal(identity: ProcessIdentity, number: signal.Signals) -> None:
    process = _resolve(identity)
    with contextlib.suppress(psutil.NoSuchProcess):
        if process is not None:
            process.send_signal(number)


def _outlived(identities: tuple[ProcessIdentity, ...], within_s: float) -> tuple[ProcessIdentity, ...]:
    # Not psutil.wait_procs: it takes an ended process that nobody has reaped yet for a living one.
    deadline = time.monotonic() + within_s
    while living := tuple(identity for identity in identities if is_alive(identity)):
        if time.monotonic() >= deadline:
            break
        time.sleep(_POLL_S)
    return living


def port_holder(port: int) -> str | None:
    """Describe who listens on this TCP port, or return None if nobody does or it cannot be seen."""
    with contextlib.suppress(psutil.Error, PermissionError):
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
                return _describe(connection.pid)
    return None


def listens(identity: ProcessIdentity, port: int) -> bool:
    """Tell whether this very process listens on this TCP port."""
    process = _resolve(identity)
    with contextlib.suppress(psutil.Error):
        return process is not None and any(
            connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            for connection in process.net_connections(kind="tcp")
        )
    return False


def is_port_free(host: str, port: int) -> bool:
    """Tell whether this address can be listened on now.

    Raises:
        OSError: The address is not one of this machine, or may not be used (a port below 1024).
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def free_port(host: str) -> int:
    """Ask the kernel for a port that nobody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _live(pid: int) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.NoSuchProcess:
        return None


def _resolve(identity: ProcessIdentity) -> psutil.Process | None:
    process = _live(identity.pid)
    return process if process is not None and _birth(process) == identity.birth else None


def _identity(process: psutil.Process) -> ProcessIdentity:
    return ProcessIdentity(pid=process.pid, created_s=process.create_time(), birth=_birth(process))


def _birth(process: psutil.Process) -> str:
    try:
        stat = Path(f"/proc/{process.pid}/stat").read_bytes()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return str(process.create_time())
    # proc_pid_stat(5): field 22, in clock ticks since the boot; field 2, in parentheses, may hold anything. Not
    # psutil's create_time(): on Linux it adds the time of the boot, which moves whenever the clock is corrected.
    return f"{boot} {stat.rpartition(b')')[2].split()[19].decode('ascii')}"


def _describe(pid: int | None) -> str | None:
    if pid is None:
        return None
    try:
        process = psutil.Process(pid)
        return f"{_program(process.name(), process.cmdline())} (pid {pid}, user {process.username()})"
    except psutil.Error:
        return f"pid {pid}"


def _program(name: str, arguments: list[str]) -> str:
    """Name a program without its arguments, which may hold secrets; of an interpreter, what it runs."""
    if "-m" in arguments[:-1]:
        return f"{name} -m {arguments[arguments.index('-m') + 1]}"
    script = next((argument for argument in arguments[1:2] if not argument.startswith("-")), None)
    return name if script is None or "=" in script else f"{name} {script}"
