"""`python -m scout_proxy`: parse the command line, serve, exit."""

import argparse
import gc
import importlib
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from scout_proxy.config import DEFAULT_PORT, ProxyConfig
from scout_proxy.logs import LogFormat
from scout_proxy.observation.access_log import ONE_IN, AccessLogMode

_SERVER_MODULE = "scout_proxy.server"
_MAX_PORT = 65_535
# What is imported is no garbage, and to look through it for some takes a tenth of the start; the server sets its own.
_OBJECTS_BEFORE_COLLECTION = 50_000


def main(arguments: list[str] | None = None) -> int:
    """Return the process's exit code."""
    config = parse_config(arguments)
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION)
    with _exiting_on_signals():
        code: int = importlib.import_module(_SERVER_MODULE).serve(config)
    return code


def parse_config(arguments: list[str] | None = None) -> ProxyConfig:
    """Parse the command line; exits with 2 and the usage where it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m scout_proxy", description="Serve the documented API in front of the engines of a route table."
    )
    parser.add_argument("--routes", type=Path, required=True, help="the route table (JSON), reloaded when it changes")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=DEFAULT_PORT, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--log-format", choices=[form.value for form in LogFormat], default=LogFormat.TEXT)
    parser.add_argument("--log-level", choices=["debug", "info", "warning", "error"], default="info")
    parser.add_argument(
        "--access-log",
        choices=[mode.value for mode in AccessLogMode],
        default=AccessLogMode.OFF,
        help=f"a line for no request, for failed ones and one in {ONE_IN} others, or for all (default: %(default)s)",
    )
    parser.add_argument(
        "--log-prompts", action="store_true", help="write prompts into these lines; whoever reads the log reads them"
    )
    parser.add_argument(
        "--otlp-endpoint", type=_http_url, metavar="URL", help="where spans go over OTLP/HTTP; needs the extra 'otel'"
    )
    given = parser.parse_args(arguments)
    if given.log_prompts and given.access_log == AccessLogMode.OFF:
        parser.error("--log-prompts needs --access-log sampled or all: there are no lines to write prompts into")
    return ProxyConfig(
        routes=given.routes,
        host=given.host,
        port=given.port,
        log_format=LogFormat(given.log_format),
        log_level=given.log_level,
        access_log=AccessLogMode(given.access_log),
        log_prompts=given.log_prompts,
        otlp_endpoint=given.otlp_endpoint,
    )


@contextmanager
def _exiting_on_signals() -> Iterator[None]:
    """Exit with 0 on a signal that comes before the server handles it: the kernel ignores one that pid 1 does not."""
    before = {number: signal.signal(number, lambda *_: sys.exit(0)) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > _MAX_PORT:
        raise argparse.ArgumentTypeError(f"should be an integer from 0 to {_MAX_PORT}, got {text!r}")
    return int(text)


def _http_url(text: str) -> str:
    url = urlsplit(text)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise argparse.ArgumentTypeError(f"should be a URL such as http://localhost:4318, got {text!r}")
    return text


if __name__ == "__main__":
    sys.exit(main())
