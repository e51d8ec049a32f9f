"""What is measured, recorded and traced of each generation at an upstream, for every route that generates."""

from collections.abc import Callable, Mapping
from time import monotonic
from types import TracebackType

from scout_proxy.caller import Caller
from scout_proxy.errors import ClientGoneError, GenerationFailedError, ProxyError
from scout_proxy.observation.metrics import Metrics
from scout_proxy.observation.observer import Observer
from scout_proxy.observation.spans import GenerationFacts, GenerationSpan
from scout_proxy.route_table import RouteTable
from scout_proxy.upstreams.balancer import Attempt
from scout_proxy.upstreams.engine import Generated, GenerationParameters

TEXT_COMPLETION = "text_completion"
CHAT = "chat"


class GenerationObserver:
    """Begins what is kept of one generation.

    Args:
        table: Gives the table of the moment, which knows the model's public name and the upstreams.
    """

    def __init__(self, metrics: Metrics, observer: Observer, table: Callable[[], RouteTable]) -> None:
        self._metrics = metrics
        self._observer = observer
        self._table = table

    def begin(
        self,
        caller: Caller,
        attempt: Attempt,
        parameters: GenerationParameters,
        *,
        headers: Mapping[str, str] | None = None,
        operation: str = TEXT_COMPLETION,
    ) -> "ObservedGeneration":
        """Return it for a `with` block around the call to the engine.

        Args:
            headers: For the engine.
        """
        span = None
        if (record := caller.record) is not None:
            record.upstream = attempt.upstream
            if self._observer.traces:
                span = self._observer.begin_generation(record, self._facts(attempt, parameters, operation))
        return ObservedGeneration(self._metrics, caller, attempt.upstream, headers, span)

    def _facts(self, attempt: Attempt, parameters: GenerationParameters, operation: str) -> GenerationFacts:
        table = self._table()
        upstream = next((one for one in table.upstreams if one.id == attempt.upstream), None)
        return GenerationFacts(
            operation=operation,
            provider=upstream.protocol if upstream else "",
            model=table.identity.model,
            upstream=attempt.upstream,
            url=upstream.url if upstream else "",
            max_tokens=parameters.max_new_tokens or None,
            temperature=parameters.temperature,
            top_p=parameters.top_p,
            top_k=parameters.top_k,
            seed=parameters.seed,
        )


class ObservedGeneration:
    """One generation. `headers` go to the engine; whoever streams calls `begin_text` at the first piece.

    It went well where `done` was called before the block ended; a stream that its reader had enough of did too.
    """

    def __init__(
        self,
        metrics: Metrics,
        caller: Caller,
        upstream: str,
        headers: Mapping[str, str] | None,
        span: GenerationSpan | None,
    ) -> None:
        self._metrics = metrics
        self._caller = caller
        self._upstream = upstream
        self._span = span
        self._began_s = monotonic()
        self._text_began_s: float | None = None
        self._generated: Generated | None = None
        self.headers = headers if span is None else {**(headers or {}), **span.trace.headers()}

    def begin_text(self) -> None:
        """Note when the first piece of a stream came."""
        if self._text_began_s is None:
            self._text_began_s = monotonic()

    def done(self, generated: Generated) -> None:
        """Count what was generated."""
        self._generated = generated
        tokens, metrics = generated.generated_tokens, self._metrics
        metrics.count_tokens(prompt=generated.prompt_tokens, generated=tokens)
        if tokens is not None:
            if self._text_began_s is None:
                metrics.observe_output(self._caller.route, tokens, monotonic() - self._began_s)
            else:
                metrics.observe_output(self._caller.route, tokens - 1, monotonic() - self._text_began_s)
        self._caller.note_tokens(prompt=generated.prompt_tokens, generated=tokens)
        if self._caller.key_id:
            meter = metrics.key_handle(self._caller.key_id)
            meter.prompt_tokens.value += generated.prompt_tokens or 0
            meter.generated_tokens.value += tokens or 0

    def __enter__(self) -> "ObservedGeneration":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._metrics.observe_upstream(self._upstream, monotonic() - self._began_s)
        if self._span is not None:
            generated = self._generated
            self._span.end(
                prompt_tokens=generated.prompt_tokens if generated else None,
                generated_tokens=generated.generated_tokens if generated else None,
                finish_reason=generated.finish_reason if generated else None,
                failure=_failure(error),
            )


def _failure(error: BaseException | None) -> ProxyError | None:
    if error is None or isinstance(error, ProxyError):
        return error
    # Cancelled because nobody waits any more, or a defect.
    return ClientGoneError() if not isinstance(error, Exception) else GenerationFailedError(type(error).__name__)
