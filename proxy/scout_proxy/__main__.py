"""`python -m scout_proxy`: parse the command line, serve, exit."""

import argparse
import sys
from pathlib import Path

from scout_proxy.config import DEFAULT_PORT, ProxyConfig
from scout_proxy.logs import LogFormat
from scout_proxy.server import serve

_MAX_PORT = 65_535


def main(arguments: list[str] | None = None) -> int:
    """Return the process's exit code."""
    return serve(parse_config(arguments))


def parse_config(arguments: list[str] | None = None) -> ProxyConfig:
    """Parse the command line; exits with 2 and the usage where it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m scout_proxy", description="Serve the documented API in front of the engines of a route table."
    )
    parser.add_argument("--routes", type=Path, required=True, help="the route table (JSON), reloaded when it changes")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=DEFAULT_PORT, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--log-format", choices=list(LogFormat), type=LogFormat, default=LogFormat.TEXT)
    parser.add_argument("--log-level", choices=["debug", "info", "warning", "error"], default="info")
    given = parser.parse_args(arguments)
    return ProxyConfig(
        routes=given.routes,
        host=given.host,
        port=given.port,
        log_format=given.log_format,
        log_level=given.log_level,
    )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > _MAX_PORT:
        raise argparse.ArgumentTypeError(f"should be an integer from 0 to {_MAX_PORT}, got {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
