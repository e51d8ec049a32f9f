"""What is known of one request when it has ended, for its log line and its span; who learns something writes it."""

from dataclasses import dataclass

from scout_proxy.observation.trace_context import TraceContext

# Of the scope's state, which holds a request's record where one is kept.
RECORD = "record"


@dataclass(slots=True, kw_only=True)
class RequestRecord:
    """One request.

    Args:
        route: As the metrics call it.
        began_s: When its head had come, by the monotonic clock.
        status: 499 where its client left before the answer.
        duration_s: From its head to the end of its answer.
        queue_began_s: When it began to wait for a place at an engine, by the monotonic clock.
        queue_s: How long it then waited, the longest of its sequences.
        first_token_s: From its head to the first piece of a streamed answer.
        cache: In the words of `X-Cache`; None where it was refused.
        upstream: The last one that worked for it.
        reason: What the log says of its failure.
        prompt: Written nowhere unless the operator asks for it.
        trace: What requests that are made for this one are part of.
        span: The tracer's own.
    """

    request_id: str
    method: str
    route: str
    began_s: float
    status: int = 499
    duration_s: float = 0.0
    queue_began_s: float | None = None
    queue_s: float | None = None
    first_token_s: float | None = None
    cache: str | None = None
    prompt_tokens: int | None = None
    generated_tokens: int | None = None
    key_id: str = ""
    upstream: str | None = None
    reason: str | None = None
    prompt: str | None = None
    trace: TraceContext | None = None
    span: object = None

    def add_tokens(self, *, prompt: int | None, generated: int | None) -> None:
        """Add the tokens of one of its sequences, where the engine counts them."""
        if prompt is not None:
            self.prompt_tokens = (self.prompt_tokens or 0) + prompt
        if generated is not None:
            self.generated_tokens = (self.generated_tokens or 0) + generated
