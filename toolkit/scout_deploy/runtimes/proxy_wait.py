"""Waits until a deployment's proxy has seen its upstreams come to rest, or serve."""

import contextlib
import http.client
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from scout_deploy.runtimes.proxy_link import ProxyLink

_POLL_S = 0.1
_ASK_TIMEOUT_S = 5.0

Upstreams = Sequence[Mapping[str, Any]]


def wait_idle(link: ProxyLink, upstreams: Iterable[str], revision: int, *, timeout_s: float) -> bool:
    """Wait until these upstreams have no request in flight; False where that took too long.

    Args:
        revision: Of the route table that takes them out; before the proxy serves it, they are only idle by chance.
    """
    wanted = set(upstreams)

    def is_idle(seen: Upstreams) -> bool:
        return all(one["in_flight"] == 0 for one in seen if one["id"] in wanted)

    return _wait(link, revision, timeout_s, is_idle)


def wait_serving(link: ProxyLink, upstreams: Iterable[str], revision: int, *, timeout_s: float) -> bool:
    """Wait until the proxy has seen each of these upstreams generate; False where that took too long."""
    wanted = set(upstreams)

    def serve(seen: Upstreams) -> bool:
        return {one["id"] for one in seen if one["observed"] == "serving"} >= wanted

    return _wait(link, revision, timeout_s, serve)


def _wait(link: ProxyLink, revision: int, timeout_s: float, is_done: Callable[[Upstreams], bool]) -> bool:
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        with contextlib.suppress(OSError, http.client.HTTPException):
            body = link.ask("/status", timeout_s=_ASK_TIMEOUT_S).body
            if (
                isinstance(body, dict)
                and body.get("route_table", {}).get("revision", 0) >= revision
                and is_done(body.get("upstreams", ()))
            ):
                return True
        time.sleep(_POLL_S)
    return False
