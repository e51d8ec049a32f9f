"""What /metrics shows, in Prometheus's base units, on a registry of its own.

Labels are bounded: routes that do not exist are `other`, reasons are words of this code, an upstream's series go soon
after the upstream, and only the first `KEYS_SHOWN` API keys have series of their own.
"""

import asyncio
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Literal

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scout_proxy.cache.stored_answers import StoreStatus
from scout_proxy.errors import ProxyError
from scout_proxy.observation.instruments import Count, Distribution, Instruments, Labels
from scout_proxy.observation.key_metrics import KeyMeter, KeyMetrics
from scout_proxy.observation.observer import Observer
from scout_proxy.observation.refusals import refusal_of
from scout_proxy.observation.request_record import RECORD, RequestRecord
from scout_proxy.observation.store_metrics import show_store
from scout_proxy.observation.upstream_metrics import DURATIONS_S, UpstreamMetrics
from scout_proxy.upstreams.upstream_pool import ServiceState, UpstreamPool
from scout_proxy.version import __version__

# Seconds a request waits for its turn: nothing, while a batch goes on, or as long as many generations last.
QUEUE_S = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
# The bounds that OpenTelemetry's conventions for generative AI advise (gen_ai.server.time_to_first_token and
# time_per_output_token), with what they lack: a long prompt behind a queue, and small models above 100 tokens/s.
FIRST_TOKEN_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 120)
OUTPUT_TOKEN_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5)
# Late by more than a millisecond is what a stream's reader can notice.
LAG_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)

OTHER = "other"
# `GET /` says what the service is, `POST /` generates as TGI does: they must not share a latency.
POST_ROOT = "POST /"
_NO_ANSWER = 499

CacheOutcome = Literal["HIT", "MISS", "BYPASS", "COALESCED"]
EvictionReason = Literal["size", "age", "invalidated"]


@dataclass(frozen=True, kw_only=True)
class CacheFigures:
    """What the cache holds in this process's memory at one moment, and how much it may."""

    entries: int
    size_bytes: int
    max_entries: int
    max_bytes: int


class RequestMeter:
    """One route's requests: a handle to get once and use for each."""

    __slots__ = ("_answers", "_durations")

    def __init__(self, answers: "_AnswersByStatus", durations: Distribution) -> None:
        self._answers = answers
        self._durations = durations

    def finish(self, status: int, duration_s: float) -> None:
        """Record one answered request; 499 where its client left before."""
        self._answers[status].value += 1
        self._durations.observe(duration_s)


class _AnswersByStatus(dict[int, Count]):
    def __init__(self, make: Callable[[int], Count]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, status: int) -> Count:
        count = self[status] = self._make(status)
        return count


class Metrics:
    """All that is counted. Changes and scrapes are made in the event loop alone."""

    def __init__(self, pool: UpstreamPool, *, clock: Callable[[], float] = monotonic) -> None:
        self._meters: dict[str, RequestMeter] = {}
        self._instruments = Instruments()
        self._registry = CollectorRegistry()
        self._registry.register(self._instruments)
        ProcessCollector(registry=self._registry)
        self._make_request_instruments(pool)
        self._make_generation_instruments()
        self._make_cache_instruments()
        self._make_process_instruments()
        self._keys = KeyMetrics(self._instruments)
        self._upstreams = UpstreamMetrics(self._instruments, pool, clock=clock)

    def _make_request_instruments(self, pool: UpstreamPool) -> None:
        make = self._instruments
        self.in_flight = Count()
        self._requests = make.counts("scout_proxy_requests", "Requests answered.", "route", "status")
        self._durations = make.distributions(
            "scout_proxy_request_duration_seconds",
            "From a request's head to the end of its answer.",
            "route",
            bounds=DURATIONS_S,
        )
        make.read_gauge("scout_proxy_requests_in_flight", "Requests being answered.", read=lambda: self.in_flight.value)
        self._refused = make.counts(
            "scout_proxy_requests_refused", "Requests that were not let in, by the reason.", "reason"
        )
        self._queue = make.distributions(
            "scout_proxy_queue_duration_seconds",
            "How long requests waited for a place at an engine, those that gave up included.",
            bounds=QUEUE_S,
        ).at()
        make.read_gauge(
            "scout_proxy_requests_held",
            "Requests that wait until an upstream takes them.",
            read=lambda: pool.admission.held,
        )
        make.read_gauge(
            "scout_proxy_serving",
            "1 while the service as a whole takes requests, those that it holds included.",
            read=lambda: pool.state is ServiceState.ACTIVE,
        )

    def _make_generation_instruments(self) -> None:
        make = self._instruments
        self._first_token = make.distributions(
            "scout_proxy_time_to_first_token_seconds",
            "From a streamed request's head to the first piece of its text.",
            "route",
            bounds=FIRST_TOKEN_S,
        )
        self._output_token = make.distributions(
            "scout_proxy_time_per_output_token_seconds",
            "Mean time for one token of an answer.",
            "route",
            bounds=OUTPUT_TOKEN_S,
        )
        self._prompt_tokens = make.counts(
            "scout_proxy_prompt_tokens", "Tokens of prompts, where the engine counts them."
        ).at()
        self._generated_tokens = make.counts(
            "scout_proxy_generated_tokens", "Tokens generated, where the engine counts them."
        ).at()

    def _make_cache_instruments(self) -> None:
        make = self._instruments
        outcomes = make.counts(
            "scout_proxy_cache_requests",
            "Requests by what the response cache did for them, without those that were refused.",
            "outcome",
        )
        evictions = make.counts("scout_proxy_cache_evictions", "Answers that left the cache, by the reason.", "reason")
        self._cache_outcomes: dict[CacheOutcome, Count] = {
            "HIT": outcomes.at("hit"),
            "MISS": outcomes.at("miss"),
            "BYPASS": outcomes.at("bypass"),
            "COALESCED": outcomes.at("coalesced"),
        }
        reasons: tuple[EvictionReason, ...] = ("size", "age", "invalidated")
        self._evictions: dict[EvictionReason, Count] = {reason: evictions.at(reason) for reason in reasons}
        self._saved = make.counts(
            "scout_proxy_cache_saved_seconds", "Time of generation that stored and shared answers made unnecessary."
        ).at()

    def _make_process_instruments(self) -> None:
        make = self._instruments
        build: Labels = (__version__, platform.python_version())
        make.read_gauge("scout_proxy_build_info", "What runs; always 1.", "version", "python", read=lambda: {build: 1})
        make.read_gauge("scout_proxy_asyncio_tasks", "Tasks of the event loop that have not ended.", read=_count_tasks)
        self.loop_lag = make.distributions(
            "scout_proxy_event_loop_lag_seconds", "How late the event loop came to a timer.", bounds=LAG_S
        ).at()

    def request_handle(self, route: str) -> RequestMeter:
        """Return the route's meter, the same one each time.

        Args:
            route: One of the code's own routes or `OTHER`, never what a client sent.
        """
        if (meter := self._meters.get(route)) is None:
            answers = _AnswersByStatus(lambda status: self._requests.at(route, str(status)))
            meter = self._meters[route] = RequestMeter(answers, self._durations.at(route))
        return meter

    def key_handle(self, key_id: str) -> KeyMeter:
        """Return the meter of an API key; those after the first `KEYS_SHOWN` share one."""
        return self._keys.handle(key_id)

    def count_refused(self, reason: str) -> None:
        """Record a request that was not let in.

        Args:
            reason: A word of the code, such as `queue_full` or `rate_limit`, never what a client sent.
        """
        self._refused.at(reason).value += 1

    def count_failure(self, error: ProxyError) -> None:
        """Record a request that was answered with an error, if it was refused."""
        if (reason := refusal_of(error)) is not None:
            self.count_refused(reason)

    def observe_queue(self, duration_s: float) -> None:
        """Record how long one request waited for a place at an engine."""
        self._queue.observe(duration_s)

    def count_cache(self, outcome: CacheOutcome) -> None:
        """Record what the cache did for one request, in the words of `X-Cache`."""
        self._cache_outcomes[outcome].value += 1

    def cache_handle(self, outcome: CacheOutcome) -> Count:
        """Return the count itself, for a path on which a call is too much."""
        return self._cache_outcomes[outcome]

    def saved(self, generation_s: float) -> None:
        """Record that a generation which took this long was not done again."""
        self._saved.value += generation_s

    def count_eviction(self, reason: EvictionReason) -> None:
        """Record that an answer left the cache."""
        self._evictions[reason].value += 1

    def observe_first_token(self, route: str, duration_s: float) -> None:
        """Record when a streamed answer's text began."""
        self._first_token.at(route).observe(duration_s)

    def observe_output(self, route: str, tokens: int, duration_s: float) -> None:
        """Record how fast an answer was generated.

        Args:
            tokens: Those that came within `duration_s`: of a stream all but the first, from the first to the last.
        """
        if tokens > 0:
            self._output_token.at(route).observe(duration_s / tokens)

    def observe_upstream(self, upstream: str, duration_s: float) -> None:
        """Record one generation asked of an upstream."""
        self._upstreams.observe(upstream, duration_s)

    def count_tokens(self, *, prompt: int | None, generated: int | None) -> None:
        """Add the tokens of one generation."""
        self._prompt_tokens.value += prompt or 0
        self._generated_tokens.value += generated or 0

    def count_retry(self, upstream: str, failure: ProxyError) -> None:
        """Record that what `upstream` did not do is done again."""
        self._upstreams.count_retry(upstream, failure)

    def read_queue(self, waiting: Callable[[], int]) -> None:
        """Show how many requests wait for a place at an engine; called at each scrape."""
        self._instruments.read_gauge(
            "scout_proxy_requests_queued", "Requests that wait for a place at an engine.", read=waiting
        )

    def read_cache(self, figures: Callable[[], CacheFigures]) -> None:
        """Show what the cache holds; called at each scrape."""
        make = self._instruments
        make.read_gauge(
            "scout_proxy_cache_entries", "Requests with stored answers in memory.", read=lambda: figures().entries
        )
        make.read_gauge(
            "scout_proxy_cache_size_bytes", "Memory that stored answers take.", read=lambda: figures().size_bytes
        )
        make.read_gauge(
            "scout_proxy_cache_max_entries",
            "The most requests with stored answers.",
            read=lambda: figures().max_entries,
        )
        make.read_gauge(
            "scout_proxy_cache_max_bytes", "The most memory that they may take.", read=lambda: figures().max_bytes
        )

    def read_store(self, status: Callable[[], StoreStatus | None]) -> None:
        """Show how the store that proxies share does; called at each scrape, None where there is none now."""
        show_store(self._instruments, status)

    def render(self) -> bytes:
        """Return the text exposition format."""
        self._upstreams.forget_gone()
        return generate_latest(self._registry)


def _count_tasks() -> dict[Labels, float]:
    try:
        return {(): len(asyncio.all_tasks())}
    except RuntimeError:
        return {}


class MeasuringMiddleware:
    """Counts every HTTP request in `metrics`; where records are kept, the scope's state has it as `record`.

    Args:
        routes: The paths that get a label of their own, so that what clients ask for cannot make labels.
    """

    def __init__(
        self, app: ASGIApp, *, metrics: Metrics, routes: Iterable[str], observer: Observer | None = None
    ) -> None:
        self._app = app
        self._observer = observer or Observer()
        self._in_flight = metrics.in_flight
        known = {*routes, POST_ROOT}
        self._meters = {route: metrics.request_handle(route) for route in known}
        self._other = metrics.request_handle(OTHER)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        route = POST_ROOT if path == "/" and scope["method"] == "POST" else path
        meter = self._meters.get(route)
        if meter is None:
            route, meter = OTHER, self._other
        record = self._open_record(scope, route) if self._observer.keeps_records else None
        status, began = _NO_ANSWER, monotonic()

        async def observe_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._in_flight.value += 1
        try:
            await self._app(scope, receive, observe_status)
        finally:
            duration_s = monotonic() - began
            self._in_flight.value -= 1
            meter.finish(status, duration_s)
            if record is not None:
                self._observer.end(record, status, duration_s)

    def _open_record(self, scope: Scope, route: str) -> RequestRecord:
        state = scope.setdefault("state", {})
        record: RequestRecord = self._observer.begin(
            request_id=state.get("request_id", ""), method=scope["method"], route=route, headers=scope["headers"]
        )
        state[RECORD] = record
        return record
