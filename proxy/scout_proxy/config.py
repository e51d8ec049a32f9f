"""What the proxy process is started with. Everything else is in the route table."""

from dataclasses import dataclass
from pathlib import Path

from scout_proxy.logs import LogFormat

DEFAULT_PORT = 2025


@dataclass(frozen=True, kw_only=True)
class ProxyConfig:
    """The command line, parsed once.

    Args:
        routes: The route table's file, reloaded whenever it changes.
        port: 0 to 65535; 0 takes a free one, which the log names.
        log_level: One of Python's level names, in lower case.
        reload_interval_s: Seconds between two looks at the route table.
    """

    routes: Path
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    log_format: LogFormat = LogFormat.TEXT
    log_level: str = "info"
    reload_interval_s: float = 0.1
