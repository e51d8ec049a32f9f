"""What the proxy process is started with. Everything else is in the route table."""

from dataclasses import dataclass
from pathlib import Path

from scout_proxy.logs import LogFormat
from scout_proxy.observation.access_log import AccessLogMode

DEFAULT_PORT = 2025


@dataclass(frozen=True, kw_only=True)
class ProxyConfig:
    """The command line, parsed once.

    Args:
        routes: The route table's file, reloaded whenever it changes.
        port: 0 to 65535; 0 takes a free one, which the log names.
        log_level: One of Python's level names, in lower case.
        access_log: Which requests get a log line.
        log_prompts: Whether these lines hold prompts.
        otlp_endpoint: Base URL of an OTLP/HTTP receiver of spans; None leaves it to OpenTelemetry's own environment
            variables whether and where spans go.
        reload_interval_s: Seconds between two looks at the route table.
    """

    routes: Path
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    log_format: LogFormat = LogFormat.TEXT
    log_level: str = "info"
    access_log: AccessLogMode = AccessLogMode.OFF
    log_prompts: bool = False
    otlp_endpoint: str | None = None
    reload_interval_s: float = 0.1
