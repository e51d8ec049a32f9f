"""On what and with which versions was measured."""

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from proxy_bench.cores import Cores

_PACKAGES = ("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "aiohttp", "pydantic", "text-generation")
_VERSION = re.compile(r"\d+\.\d+[\w.-]*")


def describe_machine(cores: Cores, litellm: Path | None) -> Mapping[str, str]:
    """Return facts by their names, in the order in which they are printed."""
    usable = len(os.sched_getaffinity(0))
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores ({usable} usable)",
        "pinned": f"servers to core {cores.server}; engine, generator and benchmark to core {cores.load}",
        "kernel": platform.platform(),
        "load before": ", ".join(f"{one:.2f}" for one in os.getloadavg()),
        "versions": ", ".join(f"{name} {version}" for name, version in _versions(litellm).items()),
        "commit": _output("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty") or "unknown",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _versions(litellm: Path | None) -> Mapping[str, str]:
    python = {"Python": platform.python_version()} | {name: metadata.version(name) for name in _PACKAGES}
    found = {"nginx": _output("nginx", "-v"), "wrk": _output("wrk", "-v")}
    if litellm is not None:
        shown = _output(str(litellm.with_name("pip")), "--disable-pip-version-check", "show", "litellm")
        found["LiteLLM"] = shown
    return python | {name: match[0] for name, said in found.items() if (match := _VERSION.search(said))}


def _output(*command: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603  # the benchmark's own commands
            command, capture_output=True, text=True, timeout=60, check=False
        )
    except OSError:
        return ""
    return (done.stdout + done.stderr).strip()
