"""Keeps a record of each request where somebody wants one: a log line, a span, or both."""

import logging
from collections.abc import Mapping
from time import monotonic

from scout_proxy.config import ProxyConfig
from scout_proxy.observation.access_log import AccessLog
from scout_proxy.observation.request_record import RequestRecord
from scout_proxy.observation.spans import GenerationFacts, GenerationSpan, Tracer, TracingError, open_tracer
from scout_proxy.observation.trace_context import RawHeaders, read_trace_context

_log = logging.getLogger(__name__)


class Observer:
    """Opens and closes the records of requests.

    `keeps_records` is False where neither a log nor a tracer wants them: the path that answers from the cache then
    makes none, and costs nothing here. `traces` says whether spans are made.
    """

    def __init__(self, *, access_log: AccessLog | None = None, tracer: Tracer | None = None) -> None:
        self._access_log = access_log
        self._tracer = tracer
        self.keeps_records = access_log is not None or tracer is not None
        self.traces = tracer is not None

    def begin(
        self, *, request_id: str, method: str, route: str, headers: RawHeaders, began_s: float | None = None
    ) -> RequestRecord:
        """Open a request's record; its `trace` is what the client sent, or a span of ours.

        Args:
            route: As the metrics call it, never what a client sent.
            headers: As ASGI has them.
            began_s: By the monotonic clock, where that was before now.
        """
        record = RequestRecord(
            request_id=request_id, method=method, route=route, began_s=monotonic() if began_s is None else began_s
        )
        sent = read_trace_context(headers)
        if self._tracer is None:
            record.trace = sent
        else:
            self._tracer.begin(record, sent)
        return record

    def end(self, record: RequestRecord, status: int, duration_s: float) -> None:
        """Close the record: write its line and end its span."""
        record.status, record.duration_s = status, duration_s
        if self._tracer is not None:
            self._tracer.end(record)
        if self._access_log is not None:
            self._access_log.write(record)

    def begin_generation(self, record: RequestRecord | None, facts: GenerationFacts) -> GenerationSpan | None:
        """Begin the span of one generation at an upstream; None where nothing is traced."""
        if self._tracer is None or record is None:
            return None
        return self._tracer.begin_generation(record, facts)

    def close(self) -> None:
        """Export what is left."""
        if self._tracer is not None:
            self._tracer.close()


def open_observer(config: ProxyConfig, environment: Mapping[str, str]) -> Observer:
    """Return what the command line and OpenTelemetry's environment variables ask for.

    Raises:
        TracingError: The command line asks for spans, and they cannot be made. Where only the environment asks, which
            can be meant for other programs, it is logged instead.
    """
    access_log = AccessLog.open(config.access_log, with_prompts=config.log_prompts)
    try:
        tracer = open_tracer(config.otlp_endpoint, environment)
    except TracingError as exc:
        if config.otlp_endpoint is not None:
            raise
        _log.warning("no spans are made", extra={"reason": str(exc)})
        tracer = None
    return Observer(access_log=access_log, tracer=tracer)
