"""Real engines as processes, on a port of the system's choice."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

_READY = re.compile(r"phase=ready url=(\S+) seconds=(\S+)")
_EXIT_S = 20


@dataclass(kw_only=True)
class EngineProcess:
    """A started engine; `lines` are those it wrote to stdout until it was ready."""

    process: subprocess.Popen[str]
    url: str
    lines: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])


def engine_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "scout_engine", *arguments]


def spawn_engine(*arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        engine_command("--port", "0", "--threads", "1", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def read_until_ready(process: subprocess.Popen[str]) -> EngineProcess:
    lines: list[str] = []
    for line in _stdout(process):
        lines.append(line.rstrip("\n"))
        if ready := _READY.search(line):
            return EngineProcess(process=process, url=ready[1], lines=lines)
    raise AssertionError(f"the engine ended before it was ready: {process.communicate()}")


@contextmanager
def running_engine(*arguments: str) -> Iterator[EngineProcess]:
    process = spawn_engine(*arguments)
    try:
        yield read_until_ready(process)
    finally:
        process.kill()
        process.communicate(timeout=_EXIT_S)


def _stdout(process: subprocess.Popen[str]) -> IO[str]:
    if process.stdout is None:
        raise AssertionError("the engine was started without a pipe")
    return process.stdout
