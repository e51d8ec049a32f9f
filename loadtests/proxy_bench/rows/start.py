"""How long it takes to be there."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from proxy_bench.bench import Bench
from proxy_bench.child import BenchError, child_environment, running
from proxy_bench.cores import on_core
from proxy_bench.server import free_port, route_table, scout_command
from proxy_bench.verdict import Section, Verdict, at_most, unmeasured
from proxy_bench.window import Series, Usage, Window

_PROXY_GOAL_S = 0.6
_EMBEDDED_GOAL_S = 3.0
_PROXY_STARTS_PER_WINDOW = 2
_UPS = 5
_PATIENCE_S = 30.0
_POLL_S = 0.001
_NOBODY = Usage(server=0, load=0, others=0, server_core=0, load_core=0)


def proxy_start(bench: Bench) -> Section:
    """From the start of the process to the first answer, on its core alone; its files have been read before."""
    seconds = [_start_once(bench) for _ in range(1 + _PROXY_STARTS_PER_WINDOW * bench.effort.windows)][1:]
    series = _series("scout_proxy", seconds)
    verdict = at_most("proxy answers after its start", series.value, _PROXY_GOAL_S, "s")
    return Section(key="start", title="Start-up", verdicts=(verdict,), series=(series,))


def embedded_start(bench: Bench) -> Section:
    """From `up` to its end, by which the deployment serves; on every core, as a user has it."""
    program = Path(sys.executable).with_name("scout-deploy")
    what, goal = "embedded deployment ready after `up`", f"at most {_EMBEDDED_GOAL_S:g} s"
    if not program.exists():
        verdict: Verdict = unmeasured(what, goal, f"{program.name} is not installed beside this interpreter")
        return Section(key="embedded", title="Embedded deployment", verdicts=(verdict,))
    seconds = [_up_once(bench, program) for _ in range(1 + (_UPS if bench.effort.is_full else 1))][1:]
    series = _series("embedded", seconds)
    verdict = at_most(what, series.value, _EMBEDDED_GOAL_S, "s")
    return Section(key="embedded", title="Embedded deployment", verdicts=(verdict,), series=(series,))


def _start_once(bench: Bench) -> float:
    port = free_port()
    routes = bench.place.folder / "routes.json"
    routes.write_text(json.dumps(route_table(bench.engine.url, "key", 1)), encoding="utf-8")
    began = time.monotonic()
    with running("scout", scout_command(routes, port), core=bench.cores.server, folder=bench.place.folder) as child:
        while not _answers(port):
            if time.monotonic() - began > _PATIENCE_S:
                raise BenchError(f"the proxy did not answer within {_PATIENCE_S:g} s:\n{child.said()}")
            time.sleep(_POLL_S)
        taken = time.monotonic() - began
    bench.say(f"  answered after {taken:.3f} s")
    return taken


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            return connection.recv(16).startswith(b"HTTP/1.1 ")
    except OSError:
        return False


def _up_once(bench: Bench, program: Path) -> float:
    with tempfile.TemporaryDirectory(dir=bench.place.folder) as folder:
        # What else runs on this machine is another deployment's, and its history is its operator's.
        environment = child_environment({"XDG_STATE_HOME": folder, "XDG_CONFIG_HOME": folder})
        name, port = f"bench-{os.getpid()}", str(free_port())
        began = time.monotonic()
        try:
            _run([str(program), "up", "--profile", "embedded", "--name", name, "--port", port], environment)
            taken = time.monotonic() - began
        finally:
            _run([str(program), "down", name], environment)
        shutil.rmtree(folder, ignore_errors=True)
        Path(folder).mkdir(exist_ok=True)
    bench.say(f"  ready after {taken:.3f} s")
    return taken


def _run(command: list[str], environment: dict[str, str]) -> None:
    with on_core(None):
        done = subprocess.run(  # noqa: S603  # the product's own commands
            command, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
    if done.returncode:
        raise BenchError(f"`{' '.join(command[:2])}` failed:\n{done.stdout}{done.stderr}")


def _series(name: str, seconds: list[float]) -> Series:
    return Series(server=name, unit="s", windows=[Window(value=one, usage=_NOBODY) for one in seconds])
