"""What is known of one request afterwards."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class ErrorKind(StrEnum):
    """Why a request failed, as its client saw it."""

    REFUSED = "connection refused"
    BROKEN = "connection broken"
    TIMEOUT = "timeout"
    OVERLOADED = "overloaded"  # 429
    NOT_READY = "not ready"  # 503
    SERVER = "server error"  # other 5xx
    CLIENT = "refused as wrong"  # 4xx and redirects: the load test's own fault, or a missing key
    CUT_OFF = "stream cut off"  # ended without its end
    ERROR_EVENT = "error in the stream"
    MALFORMED = "malformed answer"
    NOT_SENT = "not sent"  # too many were in flight, or no file was left for a connection


class TokenSource(StrEnum):
    """Who counted the output tokens."""

    SERVER = "server"
    EVENTS = "events"  # a token for each event that carried text: what /generate lets see


class Record(BaseModel):
    """One request. Times are seconds since the load began, its warm-up included, on a monotonic clock.

    Args:
        index: Its place in the seeded plan of requests.
        kind: Which kind of the workload it is.
        due_s: When it should have been sent. A closed loop sends when it can: equal to `sent_s`. In an open loop every
            latency counts from here, so that a client that is late hides nothing (coordinated omission).
        first_token_s: Streams only.
        ended_s: When the answer, or the failure, was whole.
        input_tokens: As the server counted them; null where it did not say.
        output_tokens: Of all its sequences; null where nobody could count them: an answer that was not streamed and
            has no header X-Generated-Tokens, or that the cache gave.
        sequences: How many texts were asked for.
        gaps_ms: Between the events of one sequence that carry text, in their order; of all its sequences.
        cache: The header X-Cache.
        queued_ms: The header Server-Timing, its `queue`; X-Queue-Time where an engine answers itself.
        is_warm_up: Due before the measurement proper; only what came of it within the measured time counts, for the
            throughput.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: int
    kind: str
    due_s: float
    sent_s: float
    first_token_s: float | None = None
    last_token_s: float | None = None
    ended_s: float
    status: int | None = None
    error: ErrorKind | None = None
    error_text: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    tokens_counted_by: TokenSource | None = None
    sequences: int = 1
    gaps_ms: tuple[float, ...] = ()
    cache: str | None = None
    queued_ms: float | None = None
    is_warm_up: bool = False
