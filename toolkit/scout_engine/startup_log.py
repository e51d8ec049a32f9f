"""The lines that a starting engine writes, one for each phase; the toolkit reads them."""

import os
import sys

_STDOUT, _STDERR = 1, 2


def write_phase(name: str, **facts: object) -> None:
    """Write `scout-engine: phase=NAME key=value ...` to stdout; a closed pipe is no reason to stop."""
    written = "".join(f" {key}={value}" for key, value in facts.items())
    _write(_STDOUT, f"scout-engine: phase={name}{written}\n")


def write_error(message: str) -> None:
    """Write `scout-engine: error: MESSAGE` to stderr, in one line."""
    _write(sys.stderr.fileno() if sys.stderr else _STDERR, f"scout-engine: error: {' '.join(message.split())}\n")


def _write(descriptor: int, line: str) -> None:
    try:
        os.write(descriptor, line.encode("utf-8", "replace"))
    except OSError:
        # Nobody reads this process's output any more; its work goes on.
        return
