"""A load generator as a process of its own, so that what it uses itself can be told."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from proxy_bench.child import BenchError, child_environment
from proxy_bench.cores import on_core
from proxy_bench.target import Target


def run_generator(command: Sequence[str], *, core: int, environment: Mapping[str, str]) -> tuple[str, float]:
    """Run to its end; returns what it printed, and its processor time in seconds.

    Raises:
        BenchError: It failed.
    """
    with tempfile.TemporaryFile() as output:
        with on_core(core):
            process = subprocess.Popen(  # noqa: S603  # the benchmark's own commands
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=child_environment(environment),
            )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read().decode(errors="replace")
    if process.returncode:
        raise BenchError(f"{' '.join(command[:3])} failed with {process.returncode}:\n{said}")
    return said, usage.ru_utime + usage.ru_stime


def run_client(module: str, target: Target, *options: str, core: int, seed: int) -> tuple[Mapping[str, Any], float]:
    """Run one of our own clients; returns the object that it printed, and its processor time in seconds."""
    command = [sys.executable, "-m", f"proxy_bench.{module}", target.url + target.path, "--seed", str(seed), *options]
    for name, value in target.headers.items():
        command += ["--header", f"{name}: {value}"]
    said, cpu_seconds = run_generator(command, core=core, environment={"BENCH_BODY": target.body})
    found: Mapping[str, Any] = json.loads(said)
    return found, cpu_seconds
