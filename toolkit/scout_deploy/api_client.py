"""Requests to the API on its own port, as any client would make them. The only file of this room that speaks HTTP."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class ApiAnswer:
    """A status and the JSON body that came with it; `body` is text where it was not JSON."""

    status: int
    body: Any

    @property
    def detail(self) -> str:
        """The contract's `detail`, in one line."""
        detail = self.body.get("detail", self.body) if isinstance(self.body, dict) else self.body
        if isinstance(detail, list):
            return "; ".join(f"{_place(error)}: {error.get('msg')}" for error in detail if isinstance(error, dict))
        return str(detail)


def _place(error: dict[str, Any]) -> str:
    return "/".join(str(part) for part in error.get("loc", ()) if part != "body") or "body"


def call_api(url: str, path: str, *, body: Mapping[str, object] | None = None, timeout_s: float) -> ApiAnswer:
    """GET, or POST `body` as JSON.

    Args:
        url: Base address, such as `http://127.0.0.1:2025`.
        timeout_s: For each wait on the socket, not for the whole.

    Raises:
        OSError: Nobody answers there, or not in time.
        http.client.HTTPException: What answers does not speak HTTP.
        ValueError: `url` is not an http or https address.
    """
    parts = urlsplit(url)
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    if parts.scheme not in kinds or not parts.hostname:
        raise ValueError(f"not an http address: {url!r}")
    connection = kinds[parts.scheme](parts.hostname, parts.port, timeout=timeout_s)
    try:
        target = parts.path.rstrip("/") + path
        if body is None:
            connection.request("GET", target)
        else:
            # Lone surrogates cannot be UTF-8; as \\ud800 they reach the API, which names them.
            encoded = json.dumps(dict(body)).encode("ascii")
            connection.request("POST", target, body=encoded, headers={"Content-Type": "application/json"})
        response = connection.getresponse()
        return ApiAnswer(response.status, _decode(response.read()))
    finally:
        connection.close()


def _decode(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode("utf-8", "replace")
