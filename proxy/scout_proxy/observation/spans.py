"""What a tracer does for requests, without knowing which; the only one there is needs an extra and is loaded late."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from scout_proxy.errors import ProxyError
from scout_proxy.observation.request_record import RequestRecord
from scout_proxy.observation.trace_context import TraceContext

_TRACER_MODULE = "scout_proxy.observation.tracing"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL = "http/protobuf"


class TracingError(Exception):
    """Spans are wanted and cannot be made; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationFacts:
    """What is asked of an upstream, as far as a trace shows it; never the prompt.

    Args:
        operation: In OpenTelemetry's words: `chat`, `text_completion` or `generate_content`.
        provider: The upstream's protocol.
        model: The public name of the model that is asked for.
        max_tokens: The most to generate.
    """

    operation: str
    provider: str
    model: str
    upstream: str
    url: str
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None


class GenerationSpan(Protocol):
    """One generation at an upstream; ended once, whatever happens."""

    @property
    def trace(self) -> TraceContext:
        """The place that the upstream's own spans belong under."""
        ...

    def end(
        self,
        *,
        prompt_tokens: int | None = None,
        generated_tokens: int | None = None,
        finish_reason: str | None = None,
        failure: ProxyError | None = None,
    ) -> None:
        """End it now. Without a failure it went well."""
        ...


class Tracer(Protocol):
    """Makes spans. Nothing here blocks or raises; what cannot be exported is lost."""

    def begin(self, record: RequestRecord, sent: TraceContext | None) -> None:
        """Begin a request's span under what its client sent, and set the record's `trace` and `span`."""
        ...

    def end(self, record: RequestRecord) -> None:
        """End the request's span with what the record says."""
        ...

    def begin_generation(self, record: RequestRecord, facts: GenerationFacts) -> GenerationSpan:
        """Begin a generation's span under the request's."""
        ...

    def close(self) -> None:
        """Export what is left, for a few seconds at most."""
        ...


def open_tracer(endpoint: str | None, environment: Mapping[str, str]) -> Tracer | None:
    """Return the tracer that the option or OpenTelemetry's own environment variables ask for; None where neither does.

    Raises:
        TracingError: The extra is not installed, or the environment alone asks for spans, and by a protocol that is not
            spoken.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    if endpoint is None and not any(environment.get(name) for name in _ENDPOINTS):
        return None
    protocol = next((environment[name] for name in _PROTOCOLS if environment.get(name)), _PROTOCOL)
    # The option names a receiver of this protocol; one for other programs is not about it.
    if endpoint is None and protocol != _PROTOCOL:
        raise TracingError(f"spans are exported over {_PROTOCOL} alone, and the environment asks for {protocol}")
    try:
        tracer: Tracer = importlib.import_module(_TRACER_MODULE).OtelTracer(endpoint)
    except ModuleNotFoundError as exc:
        raise TracingError(
            f"spans need the extra 'otel', which is not installed ({exc}): pip install 'scout-deploy[otel]'"
        ) from exc
    return tracer
