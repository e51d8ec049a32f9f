"""Spans by OpenTelemetry, exported over OTLP/HTTP: the one file that imports it, loaded only where it is configured.

A request is a server span; what it waited for a place at an engine and each generation are spans under it. Names are
those of OpenTelemetry's semantic conventions, and nothing that a user or a model wrote is in them. Spans are exported
by a thread of the SDK's from a bounded queue: an endpoint that is slow or dead costs spans and never a request.
"""

import logging
import threading
from collections.abc import Sequence
from time import monotonic, monotonic_ns, time_ns
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from scout_proxy.errors import ProxyError
from scout_proxy.observation.request_record import RequestRecord
from scout_proxy.observation.spans import GenerationFacts
from scout_proxy.observation.trace_context import TraceContext
from scout_proxy.version import __version__

_log = logging.getLogger(__name__)

_SERVICE = "scout-proxy"
_PATH = "/v1/traces"
_CLOSE_S = 2.0
_SAID_EVERY_S = 60.0
_FAILED_FROM_STATUS = 500
_NS = 1_000_000_000
# Others are `_OTHER`: what a client sends must not make names (HTTP conventions, http.request.method).
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})

_Attributes = dict[str, str | int | float]


class OtelTracer:
    """Makes spans with a provider of its own, not the process's global one.

    What is not an argument comes from OpenTelemetry's own environment variables, such as `OTEL_SERVICE_NAME`,
    `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_EXPORTER_OTLP_HEADERS` and `OTEL_BSP_SCHEDULE_DELAY`.

    Args:
        endpoint: Base URL of an OTLP/HTTP receiver; None takes the one of the environment.
    """

    def __init__(self, endpoint: str | None) -> None:
        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        self._exporter = _Exporter(endpoint)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("scout_proxy", __version__)

    def begin(self, record: RequestRecord, sent: TraceContext | None) -> None:
        """Begin a request's span under what its client sent, and set the record's `trace` and `span`."""
        method = record.method if record.method in _METHODS else "_OTHER"
        # The metrics tell `POST /` from `GET /`, which here the method does.
        route = record.route.rpartition(" ")[2]
        span = self._tracer.start_span(
            f"{method} {route}",
            Context() if sent is None else _context(sent),
            SpanKind.SERVER,
            {"http.request.method": method, "http.route": route, "scout.request_id": record.request_id},
        )
        record.span = span
        record.trace = _place(span, sent)

    def end(self, record: RequestRecord) -> None:
        """End the request's span with what the record says."""
        span = record.span
        if not isinstance(span, Span) or not span.is_recording():
            return
        self._add_queue_span(record, span)
        attributes: _Attributes = {"http.response.status_code": record.status}
        if record.cache is not None:
            attributes["scout.cache"] = record.cache
        if record.key_id:
            attributes["scout.key_id"] = record.key_id
        if record.first_token_s is not None:
            attributes["scout.time_to_first_token"] = record.first_token_s
        if record.status >= _FAILED_FROM_STATUS:
            attributes["error.type"] = str(record.status)
            span.set_status(StatusCode.ERROR)
        span.set_attributes(attributes)
        span.end()

    def begin_generation(self, record: RequestRecord, facts: GenerationFacts) -> "OtelGenerationSpan":
        """Begin a generation's span under the request's."""
        url = urlsplit(facts.url)
        known: dict[str, str | int | float | None] = {
            "gen_ai.operation.name": facts.operation,
            "gen_ai.provider.name": facts.provider,
            "gen_ai.request.model": facts.model,
            "gen_ai.request.max_tokens": facts.max_tokens,
            "gen_ai.request.temperature": facts.temperature,
            "gen_ai.request.top_p": facts.top_p,
            "gen_ai.request.top_k": facts.top_k,
            "gen_ai.request.seed": facts.seed,
            "server.address": url.hostname,
            "server.port": url.port,
            "scout.upstream": facts.upstream,
        }
        parent = record.span
        span = self._tracer.start_span(
            f"{facts.operation} {facts.model}",
            set_span_in_context(parent, Context()) if isinstance(parent, Span) else Context(),
            SpanKind.CLIENT,
            {name: value for name, value in known.items() if value is not None},
        )
        return OtelGenerationSpan(span, _place(span, record.trace))

    def close(self) -> None:
        """Export what is left, for two seconds at most: the SDK's own shutdown waits for thirty.

        What its thread still tries then is given up: it ends with the request that it waits for.
        """
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(_CLOSE_S)
        self._exporter.shutdown()

    def _add_queue_span(self, record: RequestRecord, parent: Span) -> None:
        if record.queue_s is None:
            return
        began_s = record.began_s if record.queue_began_s is None else record.queue_began_s
        began_ns = int(began_s * _NS) + time_ns() - monotonic_ns()
        span = self._tracer.start_span("queue", set_span_in_context(parent, Context()), start_time=began_ns)
        span.end(began_ns + int(record.queue_s * _NS))


class OtelGenerationSpan:
    """One generation at an upstream."""

    def __init__(self, span: Span, trace: TraceContext) -> None:
        self._span = span
        self.trace = trace

    def end(
        self,
        *,
        prompt_tokens: int | None = None,
        generated_tokens: int | None = None,
        finish_reason: str | None = None,
        failure: ProxyError | None = None,
    ) -> None:
        """End it now. Without a failure it went well. The failure's text stays out: an engine can quote its prompt."""
        if prompt_tokens is not None:
            self._span.set_attribute("gen_ai.usage.input_tokens", prompt_tokens)
        if generated_tokens is not None:
            self._span.set_attribute("gen_ai.usage.output_tokens", generated_tokens)
        if finish_reason is not None:
            self._span.set_attribute("gen_ai.response.finish_reasons", [finish_reason])
        if failure is not None:
            self._span.set_attribute("error.type", type(failure).__name__)
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


class _Exporter(SpanExporter):
    """Says once a minute that spans are lost; the SDK's own says it at every try and every retry."""

    def __init__(self, endpoint: str | None) -> None:
        self._exporter = OTLPSpanExporter(endpoint=None if endpoint is None else endpoint.rstrip("/") + _PATH)
        self._said_s = -_SAID_EVERY_S
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS and monotonic() - self._said_s >= _SAID_EVERY_S:
            self._said_s = monotonic()
            _log.warning("spans are lost: their receiver does not take them", extra={"spans": len(spans)})
        return result

    def shutdown(self) -> None:
        """Try nothing again. The SDK says so as well as the tracer, which does no harm."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _resource() -> Resource:
    resource = Resource.create({"service.version": __version__})
    if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
        return resource.merge(Resource({"service.name": _SERVICE}))
    return resource


def _context(sent: TraceContext) -> Context:
    remote = SpanContext(
        trace_id=int(sent.trace_id, 16),
        span_id=int(sent.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(sent.flags),
        trace_state=TraceState.from_header([sent.state]) if sent.state else None,
    )
    return set_span_in_context(NonRecordingSpan(remote), Context())


def _place(span: Span, parent: TraceContext | None) -> TraceContext:
    context = span.get_span_context()
    return TraceContext(
        trace_id=f"{context.trace_id:032x}",
        span_id=f"{context.span_id:016x}",
        flags=int(context.trace_flags),
        state="" if parent is None else parent.state,
    )
