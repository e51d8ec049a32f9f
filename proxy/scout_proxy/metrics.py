"""What /metrics shows, in Prometheus's base units, on a registry of its own."""

from collections.abc import Iterable
from time import monotonic

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scout_proxy.upstream_pool import UpstreamPool

# Seconds; from a refused request to the longest generation a default deadline lets through.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_NO_ANSWER = 499


class Metrics:
    """Counts requests by route and status. Routes that do not exist are one label, `other`."""

    def __init__(self, pool: UpstreamPool) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_UpstreamCollector(pool))
        self.requests = Counter(
            "scout_proxy_requests", "Requests answered.", ["route", "status"], registry=self._registry
        )
        self.durations = Histogram(
            "scout_proxy_request_duration_seconds",
            "From a request's head to the end of its answer.",
            ["route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self.in_flight = Gauge("scout_proxy_requests_in_flight", "Requests being answered.", registry=self._registry)
        self._upstream_durations = Histogram(
            "scout_proxy_upstream_request_duration_seconds",
            "Generations asked of an upstream, failed ones included.",
            ["upstream"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._prompt_tokens = Counter(
            "scout_proxy_prompt_tokens", "Tokens of prompts, where the engine counts them.", registry=self._registry
        )
        self._generated_tokens = Counter(
            "scout_proxy_generated_tokens", "Tokens generated, where the engine counts them.", registry=self._registry
        )

    def observe_upstream(self, upstream: str, duration_s: float) -> None:
        """Record one generation asked of an upstream."""
        self._upstream_durations.labels(upstream).observe(duration_s)

    def count_tokens(self, *, prompt: int | None, generated: int | None) -> None:
        """Add the tokens of one generation."""
        self._prompt_tokens.inc(prompt or 0)
        self._generated_tokens.inc(generated or 0)

    def render(self) -> bytes:
        """Return the text exposition format."""
        return generate_latest(self._registry)


class MeasuringMiddleware:
    """Records every HTTP request in `metrics`.

    Args:
        routes: The paths that get a label of their own, so that what clients ask for cannot make labels.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, routes: Iterable[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._routes = frozenset(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, began = _NO_ANSWER, monotonic()

        async def observe_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        route = scope["path"] if scope["path"] in self._routes else "other"
        self._metrics.in_flight.inc()
        try:
            await self._app(scope, receive, observe_status)
        finally:
            self._metrics.in_flight.dec()
            self._metrics.durations.labels(route).observe(monotonic() - began)
            self._metrics.requests.labels(route, str(status)).inc()


class _UpstreamCollector(Collector):
    """Reads the pool when it is asked, so that a removed upstream leaves no series behind."""

    def __init__(self, pool: UpstreamPool) -> None:
        self._pool = pool

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("scout_proxy_upstream_up", "1 while the upstream serves.", labels=["upstream"])
        in_flight = GaugeMetricFamily(
            "scout_proxy_upstream_requests_in_flight", "Requests in flight at the upstream.", labels=["upstream"]
        )
        for upstream in self._pool.upstreams:
            up.add_metric([upstream.id], float(upstream.is_serving))
            in_flight.add_metric([upstream.id], upstream.in_flight)
        yield up
        yield in_flight
