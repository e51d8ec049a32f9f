"""Reads the route table at start and again whenever its file changes. A broken new file keeps the old table."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from scout_proxy.route_table import RouteTable, RouteTableError, read_route_table
from scout_proxy.served_table import ServedTable, serve_table

_log = logging.getLogger(__name__)

_Signature = tuple[int, int, int] | None


class RouteWatcher:
    """Holds the table that is served. Reads the file when it is made.

    Args:
        on_change: Told of every new table, not of the first one.

    Raises:
        RouteTableError: The file cannot be read, or is not a route table.
    """

    def __init__(self, path: Path, *, on_change: Callable[[RouteTable], None] | None = None) -> None:
        self._path = path
        self._on_change = on_change
        self._signature = _signature(path)
        self.served: ServedTable = serve_table(read_route_table(path))
        self.reload_error: str | None = None
        self._log_template_error()

    @property
    def folder(self) -> Path:
        """Where the table lies, and the files that it names."""
        return self._path.parent

    def notify(self, on_change: Callable[[RouteTable], None]) -> None:
        """Tell this function of every new table from now on."""
        self._on_change = on_change

    async def watch(self, interval_s: float) -> None:
        """Look at the file every `interval_s` seconds, until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            self.poll()

    def poll(self) -> None:
        """Take the file as it is now, if it is not the one that was taken last."""
        signature = _signature(self._path)
        if signature == self._signature:
            return
        self._signature = signature
        try:
            self._take(read_route_table(self._path))
        except RouteTableError as exc:
            self._refuse(str(exc))

    def _take(self, table: RouteTable) -> None:
        fresh = serve_table(table, self.served)
        if fresh.template_error and not self.served.template_error:
            self._refuse(f"{self._path}: template: {fresh.template_error}")
            return
        self.served, self.reload_error = fresh, None
        _log.info("route table loaded", extra={"revision": table.revision, "upstreams": len(table.upstreams)})
        self._log_template_error()
        if self._on_change is not None:
            self._on_change(table)

    def _refuse(self, reason: str) -> None:
        self.reload_error = reason
        kept = self.served.table.revision
        _log.error("new route table refused, the old one is kept", extra={"revision": kept, "reason": reason})

    def _log_template_error(self) -> None:
        if self.served.template_error:
            _log.error("chat template cannot be used", extra={"reason": self.served.template_error})


def _signature(path: Path) -> _Signature:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino, stat.st_size
