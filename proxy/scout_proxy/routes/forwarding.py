"""Brings requests in a form that the engine itself speaks to an upstream: read, bounded in time, whole or streamed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

from starlette.requests import Request

from scout_proxy.access.gate import KEY_ID
from scout_proxy.caller import Caller
from scout_proxy.errors import DeadlineError, NotLoadedError, UnsupportedEncodingError
from scout_proxy.http.connection import connection_of
from scout_proxy.http.request_body import read_body, while_connected
from scout_proxy.observation.metrics import POST_ROOT, Metrics
from scout_proxy.observation.observed_generation import GenerationObserver, ObservedGeneration
from scout_proxy.observation.passed_on import passed_on
from scout_proxy.observation.request_record import RECORD
from scout_proxy.route_watcher import RouteWatcher
from scout_proxy.upstreams.balancer import Attempt, Balancer
from scout_proxy.upstreams.engine import Event, Forwarded, Generated, GenerationParameters
from scout_proxy.upstreams.room import measure_room, room_by_bytes

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request whose body has been read.

    Args:
        headers: For the engine: the request's id, and its place in a trace.
    """

    body: bytes
    caller: Caller
    headers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Outbound:
    """One sequence that an engine is asked for.

    Args:
        path: Of the engine's own route.
        operation: As spans name it.
        parameters: What the body asks for, as far as spans show it.
    """

    path: str
    body: bytes
    operation: str
    parameters: GenerationParameters


class Forwarder:
    """Forwards to the upstreams that the balancer chooses.

    Args:
        observer: Told of each generation.
    """

    def __init__(
        self, routes: RouteWatcher, balancer: Balancer, metrics: Metrics, observer: GenerationObserver
    ) -> None:
        self._routes = routes
        self._balancer = balancer
        self._metrics = metrics
        self._observer = observer

    async def read(self, request: Request) -> Asked:
        """Read a request.

        Raises:
            ProxyError: Its body is too large, too slow, or never comes.
        """
        state = request.scope["state"]
        path = request.scope["path"]
        caller = Caller(
            arrived_s=monotonic(),
            route=POST_ROOT if path == "/" else path,
            request_id=state["request_id"],
            key_id=state.get(KEY_ID, ""),
            record=state.get(RECORD),
        )
        sent: dict[bytes, bytes] = dict(request.scope["headers"])
        encoding = sent.get(b"content-encoding", b"identity").lower()
        if encoding != b"identity":
            raise UnsupportedEncodingError(encoding.decode("latin-1"))
        limits = self._routes.served.table.limits
        body = await _unless_stopped(read_body(sent, request.receive, limits))
        return Asked(body=body, caller=caller, headers=passed_on(caller, request.scope["headers"]))

    async def whole(self, asked: Asked, outbound: Outbound, read: Callable[[Forwarded], tuple[_T, Generated]]) -> _T:
        """Have a sequence generated, and return what `read` makes of the engine's answer.

        Args:
            read: Gives the counts of what was generated too.

        Raises:
            ProxyError: There is no answer.
        """

        async def ask(attempt: Attempt) -> _T:
            with self._begin(asked, outbound, attempt) as observed:
                answer = await attempt.engine.forward(outbound.path, outbound.body, observed.headers)
                result, generated = read(answer)
                observed.done(generated)
                return result

        return await self._balancer.run(ask, asked.caller)

    async def stream(
        self,
        asked: Asked,
        outbound: Outbound,
        take: Callable[[list[Event]], Awaitable[object]],
        generated: Callable[[], Generated],
    ) -> None:
        """Have a sequence generated, and give the events that came together to `take`, which the engine waits for.

        Args:
            take: A true value is enough of them.
            generated: Gives the counts, at the end.

        Raises:
            ProxyError: The stream fails; nothing was given to `take` if it is the first event.
        """

        async def ask(attempt: Attempt) -> None:
            with self._begin(asked, outbound, attempt) as observed:
                events = attempt.engine.forward_stream(outbound.path, outbound.body, observed.headers)
                async with aclosing(events):
                    async for batch in events:
                        if not attempt.has_sent:
                            attempt.has_sent = True
                            observed.begin_text()
                            self._note_text(asked.caller)
                        if await take(batch):
                            break
                observed.done(generated())

        await self._balancer.run(ask, asked.caller)

    async def look_up(self, asked: Asked, path: str, body: bytes) -> Forwarded:
        """Return the engine's answer to what generates nothing."""

        async def ask(attempt: Attempt) -> Forwarded:
            return await attempt.engine.forward(path, body, asked.headers)

        return await self._balancer.run(ask, asked.caller)

    async def count_tokens(self, asked: Asked, text: str) -> int:
        """Have the tokens of a text counted, begin-of-text included."""

        async def count(attempt: Attempt) -> int:
            return await attempt.engine.count_tokens(text)

        return await self._balancer.run(count, asked.caller)

    async def room(self, asked: Asked, text: str, max_tokens: int) -> int:
        """Cut `max_tokens` to what is left behind a text that goes to the model as it is.

        Raises:
            NoRoomError: Nothing is left.
        """
        await self._balancer.wait_until_taken(asked.caller)
        if room := room_by_bytes(text, max_tokens, self._balancer.limits()):
            return room.max_new_tokens

        async def measure(attempt: Attempt) -> int:
            return (await measure_room(text, max_tokens, self._balancer.limits(), attempt.engine)).max_new_tokens

        return await self._balancer.run(measure, asked.caller)

    @asynccontextmanager
    async def in_time(self, asked: Asked) -> AsyncIterator[None]:
        """Bound what a request takes by its deadline.

        Raises:
            DeadlineError: It has passed.
        """
        deadline_s = self._routes.served.table.limits.deadline_s
        try:
            async with asyncio.timeout(asked.caller.arrived_s + deadline_s - monotonic()):
                yield
        except (TimeoutError, DeadlineError) as exc:
            raise DeadlineError(deadline_s) from exc
        finally:
            self._metrics.observe_queue(asked.caller.queued_s)

    async def until_answered(self, request: Request, asked: Asked, work: Coroutine[Any, Any, _T]) -> _T:
        """Await `work` within the deadline, and for as long as the client is there."""

        async def in_time() -> _T:
            async with self.in_time(asked):
                return await work

        return await _unless_stopped(while_connected(request.receive, in_time(), connection_of(request.scope)))

    def _begin(self, asked: Asked, outbound: Outbound, attempt: Attempt) -> ObservedGeneration:
        return self._observer.begin(
            asked.caller, attempt, outbound.parameters, headers=asked.headers, operation=outbound.operation
        )

    def _note_text(self, caller: Caller) -> None:
        """Note when the first sequence began to say something, which is what the request's reader waited for."""
        if caller.text_began_s is not None:
            return
        caller.text_began_s = monotonic()
        first_token_s = caller.text_began_s - caller.arrived_s
        self._metrics.observe_first_token(caller.route, first_token_s)
        if caller.record is not None:
            caller.record.first_token_s = first_token_s


async def _unless_stopped(work: Awaitable[_T]) -> _T:
    try:
        return await work
    except asyncio.CancelledError as exc:
        # The server alone cancels requests, where they outlast its time to drain; they still get an answer.
        raise NotLoadedError(log_reason="the proxy stops") from exc
