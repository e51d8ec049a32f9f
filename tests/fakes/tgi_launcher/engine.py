"""The engine that the played launcher serves with: `python -m scout_engine` as a child."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from fakes.tgi_launcher.arguments import Arguments

_READY = "phase=ready"
_REQUESTS = re.compile(r"^tgi_request_count(?:\{[^}]*\})? ([0-9.e+]+)$", re.MULTILINE)


class Engine:
    """A started engine."""

    def __init__(self, arguments: Arguments, model: Path, threads: int) -> None:
        self._port = arguments.number("port")
        self._ready = threading.Event()
        self.errors: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scout_engine", *_options(arguments, model, threads)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={name: value for name, value in os.environ.items() if not name.startswith("PLAY_")},
        )
        for read in (self._read_phases, self._read_errors):
            threading.Thread(target=read, daemon=True).start()

    def _read_phases(self) -> None:
        for line in self._process.stdout or ():
            if _READY in line:
                self._ready.set()

    def _read_errors(self) -> None:
        self.errors.extend(line.rstrip("\n") for line in self._process.stderr or ())

    @property
    def is_ready(self) -> bool:
        return self._ready.is_set()

    def exit_status(self) -> int | None:
        """Return None while it runs; a signal's number is negative."""
        return self._process.poll()

    def requests(self) -> int:
        """Return how many requests it was asked, or 0 where it does not say."""
        with contextlib.suppress(OSError):
            # S310 is about addresses from outside; this one is our own child's.
            answer = urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=1)
            with answer:
                return sum(int(float(count)) for count in _REQUESTS.findall(answer.read().decode()))
        return 0

    def terminate(self, patience_s: float) -> None:
        """Let it drain; end it after that time."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def _options(arguments: Arguments, model: Path, threads: int) -> Iterator[str]:
    told = {
        "--model": model,
        "--model-id": arguments.text("model_id"),
        "--host": "0.0.0.0",
        "--port": arguments.number("port"),
        "--threads": threads,
        "--context": arguments.whole("max_total_tokens"),
        "--max-input-tokens": arguments.max_input_tokens,
        "--max-concurrent-requests": arguments.number("max_concurrent_requests"),
        "--payload-limit": arguments.number("payload_limit"),
        "--max-best-of": arguments.number("max_best_of"),
        "--max-stop-sequences": arguments.number("max_stop_sequences"),
        "--drain": arguments.number("graceful_termination_timeout"),
    }
    for option, value in told.items():
        if value is not None:
            yield from (option, str(value))
