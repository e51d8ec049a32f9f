"""An upstream that speaks TGI's protocol, as the engine that the proxy asks. Alone translates its errors."""

import re
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import fields
from typing import Any

from text_generation import errors as library

from scout_proxy.errors import (
    AnswerCutOffError,
    DeadlineError,
    GenerationFailedError,
    InvalidRequestError,
    NoRoomError,
    NotLoadedError,
    OverloadedError,
    ProxyError,
    UpstreamLostError,
)
from scout_proxy.upstreams.client_answer import After
from scout_proxy.upstreams.client_session import Session
from scout_proxy.upstreams.engine import EngineFacts, Event, Forwarded, Generated, GenerationParameters, Pieces
from scout_proxy.upstreams.tgi_stream import PieceReader
from scout_proxy.upstreams.upstream import UpstreamClient
from scout_proxy.upstreams.upstream_errors import TruncatedAnswerError, UnreachableError

_LIBRARY_ERRORS = (
    library.OverloadedError,
    library.RateLimitExceededError,
    library.ShardNotReadyError,
    library.ShardTimeoutError,
    library.ValidationError,
    library.BadRequestError,
    library.GenerationError,
    library.IncompleteGenerationError,
    library.NotFoundError,
    library.UnknownError,
)
_MAX_COUNT_DIGITS = 10
# How long an engine that has said all may take to end its answer, so that the connection can be used again.
_MAX_END_S = 1.0
# TGI, router/src/validation.rs: `InputLength` and `MaxTotalTokens`.
_NO_ROOM = re.compile(r"`inputs` (must have less than|tokens \+ `max_new_tokens` must be <=)")
_PARAMETERS = tuple(field.name for field in fields(GenerationParameters))


class TgiEngines:
    """Opens engines on one pooled session. Needs a running event loop."""

    def __init__(self) -> None:
        self._session = Session()

    def open(self, url: str) -> "TgiEngine":
        """Return the engine at a base URL."""
        return TgiEngine(UpstreamClient(url, self._session))

    async def close(self) -> None:
        """Close the session and every connection."""
        await self._session.close()


class TgiEngine:
    """An `Engine` over `UpstreamClient`."""

    def __init__(self, client: UpstreamClient) -> None:
        self._client = client

    async def probe(self) -> EngineFacts:
        """Ask `/info`, then `/health`."""
        with _translated():
            info = (await self._client.get_info()).body
            await self._client.check_health()
        return _facts(info)

    async def count_tokens(self, text: str) -> int:
        """Ask `/tokenize`, which adds the begin-of-text token as `/generate` does."""
        with _translated():
            return await self._client.count_tokens(text)

    async def generate(
        self, text: str, parameters: GenerationParameters, headers: Mapping[str, str] | None = None
    ) -> Generated:
        """Ask `/generate` without details: the counts come in headers, at no cost."""
        try:
            answer = await self._client.post_generate(text, _wire(parameters, details=False), headers)
        except _LIBRARY_ERRORS as exc:
            raise _translate(exc) from exc
        generated = answer.body.get("generated_text") if isinstance(answer.body, dict) else None
        if not isinstance(generated, str):
            raise GenerationFailedError("the engine's answer has no generated_text")
        return Generated(
            text=generated,
            prompt_tokens=_count(answer.headers, "x-prompt-tokens"),
            generated_tokens=_count(answer.headers, "x-generated-tokens"),
        )

    async def stream(
        self,
        text: str,
        parameters: GenerationParameters,
        take: Callable[[Pieces], bool],
        headers: Mapping[str, str] | None = None,
    ) -> Generated | None:
        """Ask `/generate_stream`."""
        reader = PieceReader(parameters.max_new_tokens)
        generated: Generated | None = None
        is_enough = False

        def read(events: list[Event]) -> After:
            nonlocal generated, is_enough
            pieces = reader.read(events)
            generated = pieces.generated
            if pieces.texts:
                is_enough = take(pieces)
            if reader.failure is not None:
                raise reader.failure
            if reader.is_complete:
                return After.LAST
            return After.ENOUGH if is_enough else After.MORE

        try:
            await self._client.follow_generate(text, _wire(parameters, details=True), read, headers)
        except _LIBRARY_ERRORS as exc:
            raise _translate(exc) from exc
        if generated is None and not is_enough:
            raise AnswerCutOffError("the engine's answer ended before the generation did")
        return generated

    async def forward(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Forwarded:
        """POST it as it is."""
        with _translated():
            answer = await self._client.post(path, body, headers)
        return Forwarded(answer.payload, answer.headers)

    async def forward_stream(
        self, path: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[list[Event], None]:
        """POST it as it is."""
        events = self._client.post_for_events(path, body, headers)
        with _translated():
            async with aclosing(events):
                async for batch in events:
                    yield batch


def _wire(parameters: GenerationParameters, *, details: bool) -> dict[str, object]:
    wire: dict[str, object] = {"return_full_text": False, "details": details}
    for name in _PARAMETERS:
        if (value := getattr(parameters, name)) is not None:
            wire[name] = value
    return wire


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _LIBRARY_ERRORS as exc:
        raise _translate(exc) from exc


def _translate(exc: Exception) -> ProxyError:
    failure: ProxyError
    match exc:
        case UnreachableError():
            failure = UpstreamLostError(str(exc))
        case TruncatedAnswerError():
            failure = AnswerCutOffError(str(exc))
        case library.ShardNotReadyError():
            failure = NotLoadedError(log_reason=str(exc))
        case library.ShardTimeoutError():
            failure = DeadlineError()
        case library.OverloadedError() | library.RateLimitExceededError():
            failure = OverloadedError()
        case library.ValidationError():
            kind = NoRoomError if _NO_ROOM.search(str(exc)) else InvalidRequestError
            failure = kind.of("engine_validation", str(exc))
        case _:
            failure = GenerationFailedError(str(exc))
    return failure


def _facts(info: Any) -> EngineFacts:
    """Read `/info`. Older images name the input limit `max_input_length`."""
    if not isinstance(info, dict):
        raise GenerationFailedError("the engine's /info is not an object")
    max_total = info.get("max_total_tokens")
    max_input = info.get("max_input_tokens", info.get("max_input_length"))
    if not isinstance(max_total, int) or not isinstance(max_input, int):
        raise GenerationFailedError("the engine's /info states no max_input_tokens or max_total_tokens")
    stops, places = info.get("max_stop_sequences"), info.get("max_concurrent_requests")
    model_id, version = info.get("model_id"), info.get("version")
    return EngineFacts(
        max_input_tokens=max_input,
        max_total_tokens=max_total,
        max_stop_sequences=stops if isinstance(stops, int) else None,
        max_concurrent_requests=places if isinstance(places, int) and places > 0 else None,
        model_id=model_id if isinstance(model_id, str) else None,
        version=version if isinstance(version, str) else None,
        info=info,
    )


def _count(headers: Mapping[str, str], name: str) -> int | None:
    value = headers.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) <= _MAX_COUNT_DIGITS else None
