"""Who asks: one client's request, as the parts that make it wait see it."""

from dataclasses import dataclass

from scout_proxy.observation.request_record import RequestRecord


@dataclass(kw_only=True, slots=True)
class Caller:
    """One client's request.

    Args:
        arrived_s: When it came, by the monotonic clock.
        route: As the metrics call it.
        request_id: Its own or the one that it was given.
        key_id: Of its API key; empty where the API has no keys.
        is_promised: Set once it has waited for the end of a hold: it is not refused for want of room after that.
        queued_s: The longest time that one of its sequences has waited for a place at an engine so far.
        generated_tokens: Of its own sequences so far; None where the engine did not count those of one.
        text_began_s: When the first piece of its answer came, of a stream, by the monotonic clock.
        record: What is kept of it, where anything is.
    """

    arrived_s: float
    route: str = "/generate"
    request_id: str = ""
    key_id: str = ""
    is_promised: bool = False
    queued_s: float = 0.0
    generated_tokens: int | None = 0
    text_began_s: float | None = None
    record: RequestRecord | None = None

    def note_wait(self, began_s: float, duration_s: float) -> None:
        """Note that one of its sequences waited for a place."""
        if duration_s < self.queued_s:
            return
        self.queued_s = duration_s
        if self.record is not None:
            self.record.queue_began_s, self.record.queue_s = began_s, duration_s

    def note_tokens(self, *, prompt: int | None, generated: int | None) -> None:
        """Add what the engine counted of one of its sequences."""
        is_counted = generated is not None and self.generated_tokens is not None
        self.generated_tokens = (self.generated_tokens or 0) + (generated or 0) if is_counted else None
        if self.record is not None:
            self.record.add_tokens(prompt=prompt, generated=generated)
