"""The fake engine as a process, seen from the benchmark."""

import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

from proxy_bench.child import BenchError, Child, running, wait_until_answers

_URL = re.compile(r"url=(\S+)")
_START_TIMEOUT_S = 20.0
_POLL_S = 0.02


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A running fake engine."""

    child: Child
    url: str

    def set(self, *, latency_ms: float = 0, interval_ms: float = 5) -> None:
        """Set how long an answer takes, and how far its tokens are apart."""
        self._control({"latency_ms": latency_ms, "interval_ms": interval_ms})

    def counters(self) -> dict[str, int]:
        """Return `generations`, `in_flight`, `aborted` and `connections`."""
        return self._control(None)

    def _control(self, wanted: dict[str, float] | None) -> dict[str, int]:
        data = None if wanted is None else json.dumps(wanted).encode()
        with urlopen(Request(f"{self.url}/control", data=data), timeout=10) as answer:  # noqa: S310  # our own engine
            counters: dict[str, int] = json.load(answer)
            return counters


@contextmanager
def running_engine(core: int, folder: Path) -> Iterator[Engine]:
    """Run a fake engine until the block ends."""
    command = [sys.executable, "-m", "proxy_bench.fake_engine"]
    with running("fake engine", command, core=core, folder=folder) as child:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not (found := _URL.search(child.said())):
            if time.monotonic() > deadline:
                raise BenchError(f"the fake engine does not start:\n{child.said()}")
            time.sleep(_POLL_S)
        wait_until_answers(child, f"{found[1]}/health")
        yield Engine(child=child, url=found[1])
