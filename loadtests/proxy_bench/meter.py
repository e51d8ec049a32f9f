"""Who used the two cores between two moments."""

import os
from time import monotonic

from proxy_bench.child import Child
from proxy_bench.cores import Cores, core_times
from proxy_bench.window import Usage


class Meter:
    """Starts to count when it is made.

    Args:
        server: None where the engine itself is asked.
    """

    def __init__(self, cores: Cores, server: Child | None, engine: Child) -> None:
        self._cores = cores
        self._server = server
        self._engine = engine
        self._began_s = monotonic()
        self._core_times = core_times(cores)
        self._server_s = self._server_seconds()
        self._load_s = self._load_seconds()

    @property
    def server_seconds(self) -> float:
        """Processor time of the server since the start."""
        return self._server_seconds() - self._server_s

    def usage(self, generator_seconds: float = 0) -> Usage:
        """Return the shares since the start.

        Args:
            generator_seconds: What the generator used, where it was a process of its own that has ended.
        """
        elapsed = monotonic() - self._began_s
        server = self.server_seconds / elapsed
        load = (self._load_seconds() - self._load_s + generator_seconds) / elapsed
        now, before = core_times(self._cores), self._core_times
        worked = (now.server_worked - before.server_worked + now.load_worked - before.load_worked) / elapsed
        return Usage(
            server=server,
            load=load,
            others=max(0.0, worked - server - load),
            server_core=(now.server_busy - before.server_busy) / elapsed,
            load_core=(now.load_busy - before.load_busy) / elapsed,
        )

    def _server_seconds(self) -> float:
        return self._server.cpu_seconds() if self._server else 0.0

    def _load_seconds(self) -> float:
        own = os.times()
        return self._engine.cpu_seconds() + own.user + own.system
