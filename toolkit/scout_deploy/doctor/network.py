"""Whether hosts of the internet can be reached with TLS, through the user's proxy where there is one."""

import http.client
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from urllib.parse import SplitResult, unquote, urlsplit

from scout_deploy.doctor.facts import Reach

_TIMEOUT_S = 3.0

# Names are resolved without a timeout of their own; nobody waits longer than this for all hosts together.
_OVERALL_S = 8.0


def reach_all(
    targets: Sequence[tuple[str, str]], environment: Mapping[str, str], *, overall_s: float = _OVERALL_S
) -> tuple[Reach, ...]:
    """Try all hosts at the same time.

    Args:
        targets: Host (with a port, where it is not 443) and what comes from it.
    """
    found: dict[str, Reach] = {}

    def attempt(host: str, purpose: str) -> None:
        found[host] = reach(host, purpose, environment)

    threads = [threading.Thread(target=attempt, args=target, daemon=True) for target in targets]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + overall_s
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = f"no answer within {overall_s:g} s"
    return tuple(found.get(host, Reach(host=host, purpose=purpose, problem=late)) for host, purpose in targets)


def reach(host: str, purpose: str, environment: Mapping[str, str], *, timeout_s: float = _TIMEOUT_S) -> Reach:
    """Connect to a host and shake hands; nothing is asked of it."""
    target = urlsplit(f"//{host}")
    try:
        proxy = _proxy(target.hostname or host, environment)
        through = None if proxy is None else f"{proxy.hostname}:{_port(proxy)}"
    except ValueError:
        # Not shown: it may hold a password.
        return Reach(host=host, purpose=purpose, problem="HTTPS_PROXY (or ALL_PROXY) holds no address")
    if proxy is not None and proxy.scheme not in {"http", ""}:
        return Reach(host=host, purpose=purpose, through=through, problem=f"{proxy.scheme} proxies are not tried here")
    try:
        _shake_hands(target, proxy, timeout_s)
    except (OSError, http.client.HTTPException, ValueError) as exc:
        return Reach(host=host, purpose=purpose, through=through, problem=_explain(exc, timeout_s))
    return Reach(host=host, purpose=purpose, through=through)


def _shake_hands(target: SplitResult, proxy: SplitResult | None, timeout_s: float) -> None:
    name, port = target.hostname or "", target.port or http.client.HTTPS_PORT
    if proxy is None:
        connection = http.client.HTTPSConnection(name, port, timeout=timeout_s)
    else:
        connection = http.client.HTTPSConnection(proxy.hostname or "", _port(proxy), timeout=timeout_s)
        connection.set_tunnel(name, port, headers=_authorization(proxy))
    try:
        connection.connect()
    finally:
        connection.close()


def _proxy(name: str, environment: Mapping[str, str]) -> SplitResult | None:
    def value(variable: str) -> str:
        return environment.get(variable.lower()) or environment.get(variable) or ""

    address = value("HTTPS_PROXY") or value("ALL_PROXY")
    if not address or _is_exempt(name, value("NO_PROXY")):
        return None
    return urlsplit(address if "//" in address else f"//{address}")


def _is_exempt(name: str, no_proxy: str) -> bool:
    """Whether NO_PROXY names the host, or a domain that it is in; networks (10.0.0.0/8) are not understood."""
    entries = [entry.strip().partition(":")[0].lstrip("*").lstrip(".").lower() for entry in no_proxy.split(",")]
    return "*" in map(str.strip, no_proxy.split(",")) or any(
        entry and (name.lower() == entry or name.lower().endswith(f".{entry}")) for entry in entries
    )


def _port(proxy: SplitResult) -> int:
    return proxy.port or http.client.HTTP_PORT


def _authorization(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


def _explain(error: Exception, timeout_s: float) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message} (a wrong clock, or a proxy that looks inside)"
    if isinstance(error, ssl.SSLError):
        return f"it does not speak TLS: {error.reason}"
    if isinstance(error, socket.gaierror):
        return "its name is not resolved"
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout_s:g} s"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
