"""What is open to everybody, also where API keys are set: who the service is, whether it lives, how it is used."""

from scout_proxy.route_table import Keys

_OPEN = frozenset({"/", "/health", "/docs", "/openapi.json"})
_READING = frozenset({"GET", "HEAD"})


def needs_key(method: str, path: str, keys: Keys | None) -> bool:
    """Tell whether a request must carry an API key. Paths that do not exist need one too, as does `POST /`."""
    if keys is None:
        return False
    if method not in _READING:
        return True
    return not (path in _OPEN or (path == "/metrics" and keys.open_metrics) or (path == "/status" and keys.open_status))
