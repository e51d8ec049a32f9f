"""The real proxy as a process of its own."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from fakes.running_proxy import wait_until
from scout_proxy.route_table import RouteTable, write_route_table

_DEADLINE_S = 60.0


class ProxyProcess:
    """A running one. Its log is read at its end."""

    def __init__(self, path: Path, table: RouteTable, *, open_files: str = "") -> None:
        write_route_table(path, table)
        self.path = path
        command = [sys.executable, "-m", "scout_proxy", "--routes", str(path), "--port", "0", "--log-format", "json"]
        if open_files:
            command = ["prlimit", f"--nofile={open_files}", *command]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self.url: str = json.loads(self.process.stderr.readline())["url"]
        self.port = int(self.url.rpartition(":")[2])

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, timeout=_DEADLINE_S)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=_DEADLINE_S)

    def send(self, request: bytes) -> socket.socket:
        """Send a request on a connection of its own."""
        connection = self.connect()
        connection.sendall(request)
        return connection

    def wait_until_it_serves(self) -> None:
        wait_until(lambda: self.get("/health").status_code == 200, "the proxy serves", _DEADLINE_S)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def events(self) -> list[dict[str, Any]]:
        """Wait for its end, and return its log."""
        _, log = self.process.communicate(timeout=_DEADLINE_S)
        assert "Traceback" not in log
        return [json.loads(line) for line in log.splitlines()]


@contextmanager
def proxy_process(path: Path, table: RouteTable, *, open_files: str = "") -> Iterator[ProxyProcess]:
    """Run one for the length of a block.

    Args:
        open_files: How many it may have, and how many it may allow itself: `SOFT:HARD`, as `prlimit` takes it.
    """
    running = ProxyProcess(path, table, open_files=open_files)
    with running.process:
        try:
            yield running
        finally:
            running.process.kill()
