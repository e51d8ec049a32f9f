"""The HTTP client of an upstream that speaks TGI's protocol: text_generation's client on one pooled session.

The only file that imports aiohttp. Raises the library's errors, so that its callers can ask for its types; where the
library has no error for what HTTP can do, a subclass of its nearest one.
"""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from inspect import signature
from typing import Any

import aiohttp
from pydantic import ValidationError as ModelError
from pydantic_core import from_json, to_json
from text_generation import AsyncClient
from text_generation.errors import (
    IncompleteGenerationError,
    OverloadedError,
    ShardNotReadyError,
    ShardTimeoutError,
    UnknownError,
    ValidationError,
    parse_error,
)
from text_generation.types import Parameters, Request, Response

_CONNECT_TIMEOUT_S = 5.0
# Below the 5 s after which common servers close an idle connection, so that none is used while it is being closed.
_KEEP_ALIVE_S = 4.0
_MAX_ANSWER_BYTES = 32 * 1024 * 1024
_MAX_ERROR_CHARS = 300
_JSON_HEADERS = {"Content-Type": "application/json"}
# In JSON a quote inside a string is escaped, so this cannot occur in the text of a token.
_TOKEN_ID = re.compile(rb'"id"\s*:')


class UnreachableError(ShardNotReadyError):  # type: ignore[misc]  # text_generation ships no types
    """Nobody answered: refused, reset, or closed before an answer began."""


class TruncatedAnswerError(IncompleteGenerationError):  # type: ignore[misc]  # text_generation ships no types
    """The connection ended in the middle of the answer."""


@dataclass(frozen=True, kw_only=True)
class WireAnswer:
    """A 200: its body as JSON, its headers by their lower-case names."""

    body: Any
    headers: Mapping[str, str]


def open_session() -> aiohttp.ClientSession:
    """Open the session that every upstream client shares: no limit of connections, no cookies, no proxy settings.

    Needs a running event loop. Whoever opens it closes it.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity"},
        trust_env=False,
    )


class UpstreamClient(AsyncClient):  # type: ignore[misc]  # text_generation ships no types
    """One upstream. Cancelling a call closes its connection, by which the engine stops working on it.

    Args:
        timeout_s: For a whole call, where the call is not given its own; None waits as long as its caller does.
    """

    def __init__(self, base_url: str, session: aiohttp.ClientSession, *, timeout_s: float | None = None) -> None:
        super().__init__(base_url.rstrip("/"))
        self._session = session
        self.timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=_CONNECT_TIMEOUT_S)

    async def generate(self, *args: Any, **options: Any) -> Response:
        """Generate as the library's own method does: its arguments and checks, its answer with details, its errors."""
        given = signature(AsyncClient.generate).bind(self, *args, **options)
        given.apply_defaults()
        arguments = {name: value for name, value in given.arguments.items() if name != "self"}
        prompt, stop = arguments.pop("prompt"), arguments.pop("stop_sequences")
        parameters = Parameters(details=True, stop=stop or [], **arguments)
        request = Request(inputs=prompt, parameters=parameters)
        answer = await self.post_generate(request.inputs, request.parameters.model_dump(mode="json"))
        try:
            return Response(**answer.body)
        except (ModelError, TypeError) as exc:
            raise UnknownError(f"the engine's answer is not a generation: {exc}") from exc

    async def post_generate(self, inputs: str, parameters: Mapping[str, object]) -> WireAnswer:
        """POST /generate in the wire form, without the library's models."""
        return await self._json("POST", "/generate", {"inputs": inputs, "parameters": parameters})

    async def get_info(self) -> WireAnswer:
        """GET /info."""
        return await self._json("GET", "/info")

    async def check_health(self) -> None:
        """GET /health; returns where the engine is healthy."""
        async with self._request("GET", "/health") as response:
            payload = await _read_bounded(response)
            if response.status != HTTPStatus.OK:
                raise _error_of(response.status, payload)

    async def count_tokens(self, inputs: str) -> int:
        """POST /tokenize and count, without holding an answer that is many times as long as its prompt."""
        async with self._request("POST", "/tokenize", {"inputs": inputs}) as response:
            if response.status != HTTPStatus.OK:
                raise _error_of(response.status, await _read_bounded(response))
            return await _count_ids(response)

    async def _json(self, method: str, path: str, body: object = None) -> WireAnswer:
        async with self._request(method, path, body) as response:
            payload = await _read_bounded(response)
            if response.status != HTTPStatus.OK:
                raise _error_of(response.status, payload)
            try:
                return WireAnswer(body=from_json(payload), headers=response.headers)
            except ValueError as exc:
                raise UnknownError(f"the engine's answer is not JSON: {exc}") from exc

    @asynccontextmanager
    async def _request(self, method: str, path: str, body: object = None) -> AsyncIterator[aiohttp.ClientResponse]:
        data = None if body is None else to_json(body)
        try:
            async with self._session.request(
                method,
                self.base_url + path,
                data=data,
                headers=_JSON_HEADERS if data is not None else None,
                timeout=self.timeout,
                allow_redirects=False,
            ) as response:
                yield response
        except aiohttp.InvalidURL as exc:
            raise UnreachableError(f"{self.base_url} is not an http address") from exc
        except aiohttp.ConnectionTimeoutError as exc:
            raise UnreachableError(f"{self.base_url} did not accept a connection") from exc
        except TimeoutError as exc:
            raise ShardTimeoutError(f"{self.base_url}{path} did not answer in time") from exc
        except (aiohttp.ClientConnectionError, ConnectionError) as exc:
            raise UnreachableError(f"{self.base_url} cannot be reached: {str(exc) or type(exc).__name__}") from exc
        except aiohttp.ClientPayloadError as exc:
            raise TruncatedAnswerError("the engine's answer ended too early") from exc
        except aiohttp.ClientError as exc:
            raise UnknownError(f"the engine's answer is not HTTP: {exc}") from exc


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes:
    payload = bytearray()
    async for chunk in response.content.iter_any():
        payload += chunk
        if len(payload) > _MAX_ANSWER_BYTES:
            raise UnknownError(f"the engine's answer is larger than {_MAX_ANSWER_BYTES} bytes")
    return bytes(payload)


async def _count_ids(response: aiohttp.ClientResponse) -> int:
    count, tail, begin = 0, b"", b""
    async for chunk in response.content.iter_any():
        text = tail + chunk
        begin = begin or text[:1]
        counted = 0
        for match in _TOKEN_ID.finditer(text):
            count, counted = count + 1, match.end()
        tail = text[counted:][-64:]
    if begin != b"[" or not tail.rstrip().endswith(b"]"):
        raise UnknownError("the engine's answer is not a list of tokens")
    return count


def _error_of(status: int, payload: bytes) -> Exception:
    """Build the library's error, also for the answers that its own mapping stumbles over."""
    try:
        body = from_json(payload)
    except ValueError:
        body = None
    if isinstance(body, dict) and isinstance(body.get("error"), str):
        return _typed_error(status, body)
    text = payload[: 4 * _MAX_ERROR_CHARS].decode(errors="replace").strip()[:_MAX_ERROR_CHARS]
    return _plain_error(status, text or f"status {status} without a reason")


def _typed_error(status: int, body: dict[str, Any]) -> Exception:
    error: Exception = parse_error(status, body)
    return _plain_error(status, body["error"]) if isinstance(error, UnknownError) else error


def _plain_error(status: int, text: str) -> Exception:
    known: dict[int, type[Exception]] = {
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ValidationError,
        HTTPStatus.UNPROCESSABLE_ENTITY: ValidationError,
        HTTPStatus.TOO_MANY_REQUESTS: OverloadedError,
        HTTPStatus.BAD_GATEWAY: ShardNotReadyError,
        HTTPStatus.SERVICE_UNAVAILABLE: ShardNotReadyError,
        HTTPStatus.GATEWAY_TIMEOUT: ShardTimeoutError,
    }
    if status in known:
        return known[status](text)
    unknown: Exception = UnknownError(f"the engine answered {status}: {text}")
    return unknown
