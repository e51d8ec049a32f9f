"""The client of an upstream that speaks TGI's protocol: text_generation's client on one pooled session.

Raises the library's errors, so that its callers can ask for its types; where the library has no error for what HTTP can
do, a subclass of its nearest one. What the proxy itself calls speaks the wire form, without the library's models.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from inspect import signature
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic import ValidationError as ModelError
from pydantic_core import from_json, to_json
from text_generation import AsyncClient
from text_generation.errors import UnknownError
from text_generation.types import (
    ChatComplete,
    ChatCompletionChunk,
    ChatRequest,
    Parameters,
    Request,
    Response,
    StreamResponse,
)

from scout_proxy.upstreams.client_answer import After
from scout_proxy.upstreams.client_session import Session
from scout_proxy.upstreams.engine import Event
from scout_proxy.upstreams.upstream_errors import TruncatedAnswerError, error_of_event
from scout_proxy.upstreams.upstream_http import RawAnswer, UpstreamHttp

_CHAT = "/v1/chat/completions"
_DONE = b"[DONE]"
# In JSON a quote inside a string is escaped, so this cannot occur in the text of a token.
_TOKEN_ID = re.compile(rb'"id"\s*:')

Headers = Mapping[str, str]
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class WireAnswer:
    """A 200: its body as JSON, its headers whatever the case of their names."""

    body: Any
    headers: Headers


class UpstreamClient(AsyncClient):  # type: ignore[misc]  # text_generation ships no types
    """One upstream. Cancelling a call, or closing a stream, closes its connection, by which the engine stops working.

    Args:
        timeout_s: For a whole call, where the call is not given its own; None waits as long as its caller does.
    """

    def __init__(self, base_url: str, session: Session, *, timeout_s: float | None = None) -> None:
        super().__init__(base_url.rstrip("/"))
        self._http = UpstreamHttp(self.base_url, session, timeout_s=timeout_s)

    async def generate(self, *args: Any, **options: Any) -> Response:
        """Generate as the library's own method does: its arguments and checks, its answer with details, its errors."""
        request = _request_of(AsyncClient.generate, self, args, options)
        answer = await self.post_generate(request.inputs, request.parameters.model_dump(mode="json"))
        return _as_model(Response, answer.body)

    async def generate_stream(self, *args: Any, **options: Any) -> AsyncIterator[StreamResponse]:
        """Stream as the library's own method does: its arguments and checks, its types, its errors."""
        request = _request_of(AsyncClient.generate_stream, self, args, options)
        parameters = request.parameters.model_dump(mode="json")
        async with aclosing(self.post_generate_stream(request.inputs, parameters)) as batches:
            async for events in batches:
                for event in events:
                    yield _as_model(StreamResponse, event.fields)

    async def chat(self, *args: Any, **options: Any) -> ChatComplete | AsyncIterator[ChatCompletionChunk]:
        """Chat as the library's own method does, with `stream=True` too; there its own stumbles over TGI's answers."""
        request = ChatRequest(model="tgi", **_arguments_of(AsyncClient.chat, self, args, options))
        body = to_json(request.model_dump(mode="json", exclude_none=True))
        if request.stream:
            return self._chat_stream(body)
        return _as_model(ChatComplete, _parse((await self._http.post(_CHAT, body)).payload))

    async def post_generate(
        self, inputs: str, parameters: Mapping[str, object], headers: Headers | None = None
    ) -> WireAnswer:
        """POST /generate in the wire form."""
        answer = await self._http.post("/generate", to_json({"inputs": inputs, "parameters": parameters}), headers)
        return WireAnswer(_parse(answer.payload), answer.headers)

    def post_generate_stream(
        self, inputs: str, parameters: Mapping[str, object], headers: Headers | None = None
    ) -> AsyncGenerator[list[Event], None]:
        """POST /generate_stream in the wire form; yields the events that came together, never none."""
        body = to_json({"inputs": inputs, "parameters": parameters})
        return self.post_for_events("/generate_stream", body, headers)

    async def post(self, path: str, body: bytes, headers: Headers | None = None) -> RawAnswer:
        """POST JSON as it is, and return the answer as it is."""
        return await self._http.post(path, body, headers)

    async def post_for_events(
        self, path: str, body: bytes, headers: Headers | None = None
    ) -> AsyncGenerator[list[Event], None]:
        """POST JSON as it is, and yield the events that came together, never none; an error among them is raised."""
        is_over = False
        async with aclosing(self._http.post_for_events(path, body, headers)) as batches:
            async for payloads in batches:
                events, error = _read_events(payloads)
                if events:
                    yield events
                    is_over = is_over or events[-1].fields.get("generated_text") is not None
                if error is not None:
                    raise error
                is_over = is_over or payloads[-1] == _DONE
        if not is_over:
            raise TruncatedAnswerError("the engine's answer ended before the generation did")

    async def follow_generate(
        self,
        inputs: str,
        parameters: Mapping[str, object],
        take: Callable[[list[Event]], After],
        headers: Headers | None = None,
    ) -> None:
        """POST /generate_stream in the wire form; `take` gets the events within the turn that brings them."""

        def read(payloads: list[bytes]) -> After:
            events, error = _read_events(payloads)
            after = take(events) if events else After.MORE
            if error is not None and after is After.MORE:
                raise error
            return after

        body = to_json({"inputs": inputs, "parameters": parameters})
        await self._http.follow_events("/generate_stream", body, read, headers)

    async def get_info(self) -> WireAnswer:
        """GET /info."""
        answer = await self._http.get("/info")
        return WireAnswer(_parse(answer.payload), answer.headers)

    async def check_health(self) -> None:
        """GET /health; returns where the engine is healthy."""
        await self._http.get("/health")

    async def count_tokens(self, inputs: str) -> int:
        """POST /tokenize and count, without holding an answer that is many times as long as its prompt."""
        async with self._http.post_for_chunks("/tokenize", to_json({"inputs": inputs})) as chunks:
            return await _count_ids(chunks)

    async def _chat_stream(self, body: bytes) -> AsyncIterator[ChatCompletionChunk]:
        async with aclosing(self.post_for_events(_CHAT, body)) as batches:
            async for events in batches:
                for event in events:
                    yield _as_model(ChatCompletionChunk, _with_tool_calls(event.fields))


def _read_events(payloads: list[bytes]) -> tuple[list[Event], Exception | None]:
    """Return the events up to the first that is an error, and that error."""
    events: list[Event] = []
    for payload in payloads:
        if payload == _DONE:
            break
        try:
            event = from_json(payload)
        except ValueError as exc:
            return events, UnknownError(f"the engine's stream holds what is not JSON: {exc}")
        if not isinstance(event, dict):
            return events, UnknownError("the engine's stream holds what is not an event")
        if "error" in event and (error := error_of_event(event)) is not None:
            return events, error
        events.append(Event(payload, event))
    return events, None


def _parse(payload: bytes) -> Any:
    try:
        return from_json(payload)
    except ValueError as exc:
        raise UnknownError(f"the engine's answer is not JSON: {exc}") from exc


def _request_of(method: Any, client: AsyncClient, args: tuple[Any, ...], options: dict[str, Any]) -> Request:
    arguments = _arguments_of(method, client, args, options)
    prompt, stop = arguments.pop("prompt"), arguments.pop("stop_sequences")
    return Request(inputs=prompt, parameters=Parameters(details=True, stop=stop or [], **arguments))


def _arguments_of(method: Any, client: AsyncClient, args: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
    """Bind a call as the library's own method would; what it does not accept is its TypeError."""
    given = signature(method).bind(client, *args, **options)
    given.apply_defaults()
    return {name: value for name, value in given.arguments.items() if name != "self"}


def _as_model(model: type[_Model], body: Any) -> _Model:
    try:
        return model(**body)
    except (ModelError, TypeError) as exc:
        raise UnknownError(f"the engine's answer is not a {model.__name__}: {exc}") from exc


def _with_tool_calls(event: dict[str, Any]) -> dict[str, Any]:
    """Name what the library's type of a delta asks for and TGI leaves out of a text's."""
    for choice in event.get("choices") or ():
        if isinstance(choice, dict) and isinstance(delta := choice.get("delta"), dict):
            delta.setdefault("tool_calls", None)
    return event


async def _count_ids(chunks: AsyncIterator[bytes]) -> int:
    count, tail, begin = 0, b"", b""
    async for chunk in chunks:
        text = tail + chunk
        begin = begin or text[:1]
        counted = 0
        for match in _TOKEN_ID.finditer(text):
            count, counted = count + 1, match.end()
        tail = text[counted:][-64:]
    if begin != b"[" or not tail.rstrip().endswith(b"]"):
        raise UnknownError("the engine's answer is not a list of tokens")
    return count
