"""`POST /generate` from its body to its answer: checked, cached, generated, whole or streamed. Knows no framework."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import TypedDict

from pydantic_core import to_json

from scout_proxy.cache.answer_cache import AnswerCache, CacheOutcome
from scout_proxy.cache.cache_directives import CacheDirectives
from scout_proxy.cache.flight import Flight, Texts
from scout_proxy.cache.memory_store import RenderedAnswer
from scout_proxy.caller import Caller
from scout_proxy.errors import ClientGoneError, NotLoadedError, ProxyError
from scout_proxy.generate.contract import GenerateRequest, parse_generate_request
from scout_proxy.generate.followers import PieceFollower, WholeFollower, replay_events
from scout_proxy.generate.generation import Generator, Wanted
from scout_proxy.http.connection import Connection
from scout_proxy.http.outgoing import Outgoing, RawHeader
from scout_proxy.observation.metrics import Metrics
from scout_proxy.prompt.served_prompt import ServedPrompt
from scout_proxy.served_table import TableSource

ROUTE = "/generate"
_OK = 200
_JSON = (b"content-type", b"application/json")
_EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")
# Proxies that collect an answer before they give it on (nginx does) are asked not to.
_STREAM_HEADERS: tuple[RawHeader, ...] = (_EVENTS, (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no"))
# As TGI's own; shorter than the minute after which most proxies give up a silent answer.
KEEP_ALIVE_S = 15.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """One request.

    Args:
        connection: None where the server cannot tell that the client goes away.
        upstream_headers: For the engine, such as a trace's.
    """

    body: bytes
    caller: Caller
    directives: CacheDirectives
    connection: Connection | None
    upstream_headers: Mapping[str, str] | None = None


class _TimeLeft(TypedDict):
    deadline_s: float
    left_s: float


class GenerateService:
    """Answers requests from the cache, or has them generated."""

    def __init__(
        self,
        routes: TableSource,
        cache: AnswerCache,
        generator: Generator,
        metrics: Metrics,
        *,
        keep_alive_s: float = KEEP_ALIVE_S,
    ) -> None:
        self._routes = routes
        self._cache = cache
        self._generator = generator
        self._metrics = metrics
        self._keep_alive_s = keep_alive_s

    async def answer(self, ask: Ask, out: Outgoing) -> None:
        """Answer one request.

        Raises:
            ProxyError: Before the answer has begun; after that, a stream ends with an event that says it.
        """
        limits = self._routes.served.table.limits
        request = parse_generate_request(ask.body, max_num_return_sequences=limits.max_num_return_sequences)
        if (record := ask.caller.record) is not None:
            record.prompt = request.prompt
        echo = to_json(request.echo())
        end = _end_of_answer(echo, request)
        plan = self._cache.plan(request, echo, ask.directives, ask.caller.key_id)
        if (found := await self._cache.find(plan)) is not None:
            if not request.stream:
                self._cache.know_body(plan, ask.body, end, ask.caller.key_id)
            self._note_outcome(ask, CacheOutcome.HIT)
            await self._replay(request, ask, found, end, out)
            return
        flight, outcome = self._cache.fly(plan, self._work(request, ask))
        # What no engine takes has been refused: the cache did nothing for it, and it is no miss.
        flight.once_let_in(partial(self._note_outcome, ask, outcome))
        if request.stream:
            await self._stream(ask, flight, outcome, end, out)
            return
        texts = await self._whole(ask, flight)
        if outcome is CacheOutcome.COALESCED:
            self._metrics.saved(monotonic() - flight.began_s)
        self._cache.know_body(plan, ask.body, end, ask.caller.key_id)
        await out.whole(_OK, (_x_cache(outcome), *_timing(ask, outcome), *_tokens(ask), _JSON), _body(texts, end))

    def _note_outcome(self, ask: Ask, outcome: CacheOutcome) -> None:
        self._metrics.count_cache(outcome.value)
        if (record := ask.caller.record) is not None:
            record.cache = outcome.value

    def _work(self, request: GenerateRequest, ask: Ask) -> Callable[[Flight], Awaitable[Texts]]:
        async def generate(flight: Flight) -> Texts:
            wanted = Wanted(
                request=request,
                format_prompt=ServedPrompt(self._routes, request.prompt).format,
                caller=ask.caller,
                headers=ask.upstream_headers,
                on_let_in=flight.let_in,
            )
            return await self._generator.generate(wanted, flight.tell if request.stream else None)

        return generate

    async def _replay(
        self, request: GenerateRequest, ask: Ask, found: RenderedAnswer, end: bytes, out: Outgoing
    ) -> None:
        self._metrics.saved(found.answer.generation_s)
        headers = (_x_cache(CacheOutcome.HIT), (b"age", b"%d" % self._cache.age_s(found.answer)))
        if not request.stream:
            await out.whole(_OK, (*headers, _JSON), found.beginning + end)
            return
        await out.begin(_OK, (*headers, *_STREAM_HEADERS))
        await self._while_taken(ask, out, out.write(replay_events(found.answer.texts)))
        await self._while_taken(ask, out, out.end(_done_event(found.answer.texts, end)))

    async def _whole(self, ask: Ask, flight: Flight) -> Texts:
        follower = WholeFollower(flight, **self._time_left(ask))
        try:
            if ask.connection is not None:
                ask.connection.on_leave(follower.go)
            return await follower.texts()
        finally:
            follower.close()

    async def _stream(self, ask: Ask, flight: Flight, outcome: CacheOutcome, end: bytes, out: Outgoing) -> None:
        follower = PieceFollower(
            flight, write_now=out.write_now, keep_alive_s=self._keep_alive_s, **self._time_left(ask)
        )
        try:
            if ask.connection is not None:
                ask.connection.on_leave(follower.go)
            await follower.begin()
            self._note_first_token(ask)
            await out.begin(_OK, (_x_cache(outcome), *_timing(ask, outcome), *_STREAM_HEADERS))
            await self._give_on(ask, flight, follower, end, out)
        finally:
            follower.close()

    async def _give_on(self, ask: Ask, flight: Flight, follower: PieceFollower, end: bytes, out: Outgoing) -> None:
        try:
            while events := await follower.next_events():
                await self._while_taken(ask, out, out.write(events))
        except (ProxyError, asyncio.CancelledError) as exc:
            if out.is_given_up:
                raise
            # The server alone cancels requests, where they outlast its time to drain.
            error = exc if isinstance(exc, ProxyError) else NotLoadedError(log_reason="the proxy stops")
            await self._while_taken(ask, out, out.end(_error_event(error)))
            if isinstance(exc, ClientGoneError):
                raise
        else:
            await self._while_taken(ask, out, out.end(_done_event(flight.texts or (), end)))

    async def _while_taken(self, ask: Ask, out: Outgoing, writing: Awaitable[None]) -> None:
        """Write; a client that still takes nothing some time after its deadline is left with a part of the answer.

        Raises:
            ClientGoneError: It does not.
        """
        patience_s = self._time_left(ask)["left_s"] + self._routes.served.table.limits.body_timeout_s
        try:
            async with asyncio.timeout(patience_s):
                await writing
        except TimeoutError as exc:
            out.give_up()
            raise ClientGoneError from exc

    def _note_first_token(self, ask: Ask) -> None:
        duration_s = monotonic() - ask.caller.arrived_s
        self._metrics.observe_first_token(ROUTE, duration_s)
        if ask.caller.record is not None:
            ask.caller.record.first_token_s = duration_s

    def _time_left(self, ask: Ask) -> _TimeLeft:
        deadline_s = self._routes.served.table.limits.deadline_s
        return {"deadline_s": deadline_s, "left_s": ask.caller.arrived_s + deadline_s - monotonic()}


def _end_of_answer(echo: bytes, request: GenerateRequest) -> bytes:
    """Return what follows the texts in the answer: the echo of the request as it was sent."""
    if request.stream is None:
        return echo + b"}"
    return echo[:-1] + (b',"stream":true}}' if request.stream else b',"stream":false}}')


def _body(texts: Texts, end: bytes) -> bytes:
    return b'{"generated_texts":%b,"parameters":%b' % (to_json(texts), end)


def _done_event(texts: Texts, end: bytes) -> bytes:
    return b"event: done\ndata: %b\n\n" % _body(texts, end)


def _error_event(error: ProxyError) -> bytes:
    return b"event: error\ndata: %b\n\n" % to_json({"detail": error.message})


def _x_cache(outcome: CacheOutcome) -> RawHeader:
    return b"x-cache", outcome.encode()


def _timing(ask: Ask, outcome: CacheOutcome) -> tuple[RawHeader, ...]:
    """Tell how long the request waited for a place (W3C Server Timing, in milliseconds), where it was its own wait."""
    if outcome is CacheOutcome.COALESCED:
        return ()
    return ((b"server-timing", b"queue;dur=%.1f" % (ask.caller.queued_s * 1000)),)


def _tokens(ask: Ask) -> tuple[RawHeader, ...]:
    """Tell how many tokens were generated for this request itself, as Text Generation Inference does."""
    count = ask.caller.generated_tokens
    return ((b"x-generated-tokens", b"%d" % count),) if count else ()
