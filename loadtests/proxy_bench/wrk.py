"""wrk, the load generator of the rows that keep a number of connections busy."""

import json
from dataclasses import dataclass
from pathlib import Path

from proxy_bench.child import BenchError
from proxy_bench.generator import run_generator
from proxy_bench.target import Target

_SCRIPT = Path(__file__).parent / "wrk.lua"
_TIMEOUT_S = 30


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Requests and connections that failed, as wrk tells them apart."""

    connect: int = 0
    read: int = 0
    write: int = 0
    status: int = 0
    timeout: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.connect + self.read + self.write + self.status + self.timeout


@dataclass(frozen=True, kw_only=True)
class WrkRun:
    """What one run of wrk saw, and the processor time that it took itself."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: Errors
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def run_wrk(target: Target, *, core: int, connections: int, seconds: float, is_unique: bool, seed: int) -> WrkRun:
    """Keep that many connections busy with one request again and again, or with requests of which no two are the same.

    Raises:
        BenchError: wrk did not run, or nothing was answered.
    """
    # wrk takes whole seconds alone.
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{max(1, round(seconds))}s",
        f"--timeout={_TIMEOUT_S}s",
        "--latency",
    ]
    for name, value in target.headers.items():
        command += ["-H", f"{name}: {value}"]
    command += ["-s", str(_SCRIPT), target.url + target.path, "--", "miss" if is_unique else "hit", str(seed)]
    said, cpu_seconds = run_generator(command, core=core, environment={"WRK_BODY": target.body})
    return parse_wrk(said, cpu_seconds=cpu_seconds)


def parse_wrk(output: str, *, cpu_seconds: float) -> WrkRun:
    """Read the line that `wrk.lua` prints.

    Raises:
        BenchError: It is not there.
    """
    line = next((line for line in reversed(output.splitlines()) if line.startswith("{")), None)
    if line is None:
        raise BenchError(f"wrk printed no summary:\n{output}")
    found = json.loads(line)
    errors = Errors(**{name: found[name] for name in ("connect", "read", "write", "status", "timeout")})
    return WrkRun(
        requests=found["requests"],
        seconds=found["seconds"],
        p50_ms=found["p50_ms"],
        p99_ms=found["p99_ms"],
        errors=errors,
        cpu_seconds=cpu_seconds,
    )
