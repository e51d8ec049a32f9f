"""Runs the drivers' tools, and finds NVIDIA's hook for containers."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

# A GPU that fell off its bus makes nvidia-smi hang; a healthy one without persistence mode takes some seconds.
_TIMEOUT_S = 30.0


@dataclass(frozen=True, kw_only=True)
class ToolAnswer:
    """What a driver's tool printed.

    Args:
        status: Its exit status; None where it is not installed, or did not end in time.
        text: Standard output and standard error.
    """

    status: int | None
    text: str = ""


RunTool = Callable[[tuple[str, ...]], ToolAnswer]
"""Runs a command where the GPUs are: on this machine, or in a container on the Docker host."""


def run_local(argv: tuple[str, ...], *, timeout_s: float = _TIMEOUT_S) -> ToolAnswer:
    """Run a tool on this machine."""
    try:
        ended = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return ToolAnswer(status=None, text=f"{argv[0]} did not answer within {timeout_s:g} s")
    except OSError:
        return ToolAnswer(status=None)
    return ToolAnswer(status=ended.returncode, text=ended.stdout.decode("utf-8", "replace"))


def has_nvidia_hook(environment: Mapping[str, str], root: Path = Path("/")) -> bool:
    """Tell whether this machine has the hook through which Docker gives NVIDIA GPUs to containers.

    Args:
        environment: For PATH. The daemon's own is not known, but the package installs into /usr/bin.
        root: Where `/usr` is.
    """
    folders = os.pathsep.join((environment.get("PATH", ""), str(root / "usr/bin"), str(root / "usr/local/bin")))
    return shutil.which("nvidia-container-runtime-hook", path=folders) is not None
