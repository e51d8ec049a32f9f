"""What the engine counts, under TGI's names (router/src/server.rs, router/src/infer/mod.rs).

prometheus-client would end a counter's name in `_total`, which TGI does not: `TgiCounter` writes the name as it is,
untyped.
"""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.core import Metric, UnknownMetricFamily
from prometheus_client.registry import Collector

from scout_engine.completed import Completed

_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
_TOKENS = tuple(float(1 << power) for power in range(18))


class TgiCounter(Collector):
    """A count with at most one label, `err`."""

    def __init__(self, name: str, documentation: str, registry: CollectorRegistry) -> None:
        self._name = name
        self._documentation = documentation
        self._values: dict[str, float] = {}
        registry.register(self)

    def increment(self, err: str = "") -> None:
        """Add one."""
        self._values[err] = self._values.get(err, 0.0) + 1

    def collect(self) -> Iterable[Metric]:
        """Yield the count, or one for each `err`."""
        if set(self._values) <= {""}:
            yield UnknownMetricFamily(self._name, self._documentation, value=self._values.get("", 0.0))
            return
        family = UnknownMetricFamily(self._name, self._documentation, labels=["err"])
        for err, value in self._values.items():
            family.add_metric([err], value)
        yield family


class EngineMetrics:
    """One registry of one engine."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = TgiCounter("tgi_request_count", "Requests received", self._registry)
        self.failures = TgiCounter("tgi_request_failure", "Requests refused or failed, by cause", self._registry)
        self._successes = TgiCounter("tgi_request_success", "Requests answered", self._registry)
        self.waiting = Gauge("tgi_queue_size", "Requests that wait for a slot", registry=self._registry)
        self.running = Gauge("tgi_batch_current_size", "Requests that llama.cpp generates", registry=self._registry)
        self._duration = self._histogram("tgi_request_duration", "Seconds for a whole request", _SECONDS)
        self._validation = self._histogram("tgi_request_validation_duration", "Seconds to check a request", _SECONDS)
        self._queue = self._histogram("tgi_request_queue_duration", "Seconds until a slot was free", _SECONDS)
        self._inference = self._histogram("tgi_request_inference_duration", "Seconds in llama.cpp", _SECONDS)
        self._per_token = self._histogram(
            "tgi_request_mean_time_per_token_duration", "Mean seconds per token", _SECONDS
        )
        self._input = self._histogram("tgi_request_input_length", "Tokens of a prompt", _TOKENS)
        self._max_new = self._histogram("tgi_request_max_new_tokens", "Tokens asked for", _TOKENS)
        self._generated = self._histogram("tgi_request_generated_tokens", "Tokens generated", _TOKENS)

    def _histogram(self, name: str, documentation: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, documentation, buckets=buckets, registry=self._registry)

    def observe_valid(self, input_length: int, max_new_tokens: int) -> None:
        """Count a request that passed its checks."""
        self._input.observe(input_length)
        self._max_new.observe(max_new_tokens)

    def observe_completed(self, completed: Completed) -> None:
        """Count a finished sequence."""
        timings = completed.timings
        self._successes.increment()
        self._duration.observe(timings.total_s)
        self._validation.observe(timings.validation_s)
        self._queue.observe(timings.queue_s)
        self._inference.observe(timings.inference_s)
        self._per_token.observe(timings.inference_s / max(completed.generated_tokens, 1))
        self._generated.observe(completed.generated_tokens)

    def render(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        return generate_latest(self._registry)
