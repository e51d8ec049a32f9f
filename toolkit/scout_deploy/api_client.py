"""Requests to the API on its own port, as any client would make them. The only file of this room that speaks HTTP."""

import http.client
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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


@dataclass
class ApiClient:
    """Asks one API, with a key where it asks for one.

    Args:
        url: Base address, such as `http://127.0.0.1:2025`.
        read_key: Returns the key; called when the API asks for one, or for another one than before.
    """

    url: str
    read_key: Callable[[], str | None] = field(default=lambda: None)
    _key: str | None = field(default=None, init=False, repr=False)

    def ask(
        self, path: str, *, body: Mapping[str, object] | None = None, timeout_s: float, fresh: bool = False
    ) -> ApiAnswer:
        """See `call_api`."""
        answer = call_api(self.url, path, body=body, timeout_s=timeout_s, key=self._key, fresh=fresh)
        if answer.status != http.client.UNAUTHORIZED or (key := self.read_key()) in (None, self._key):
            return answer
        self._key = key
        return call_api(self.url, path, body=body, timeout_s=timeout_s, key=key, fresh=fresh)


def call_api(
    url: str,
    path: str,
    *,
    body: Mapping[str, object] | None = None,
    timeout_s: float,
    key: str | None = None,
    fresh: bool = False,
) -> ApiAnswer:
    """GET, or POST `body` as JSON.

    Args:
        url: Base address, such as `http://127.0.0.1:2025`.
        timeout_s: For each wait on the socket, not for the whole.
        key: The API key to send.
        fresh: Ask for an answer that neither comes from the response cache nor goes there.

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
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    if fresh:
        headers["Cache-Control"] = "no-store"
    try:
        target = parts.path.rstrip("/") + path
        if body is None:
            connection.request("GET", target, headers=headers)
        else:
            # Lone surrogates cannot be UTF-8; as \\ud800 they reach the API, which names them.
            encoded = json.dumps(dict(body)).encode("ascii")
            connection.request("POST", target, body=encoded, headers=headers | {"Content-Type": "application/json"})
        response = connection.getresponse()
        return ApiAnswer(response.status, _decode(response.read()))
    finally:
        connection.close()


def _decode(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode("utf-8", "replace")
