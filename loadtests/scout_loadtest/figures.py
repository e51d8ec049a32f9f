"""The figures of a set of records: what a reader is told of it."""

from pydantic import BaseModel, ConfigDict


class Targets(BaseModel):
    """The service level: a request is good when it succeeds within all that are set. In milliseconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ttft_ms: float | None = None
    tpot_ms: float | None = None
    e2e_ms: float | None = None


class Spread(BaseModel):
    """The distribution of one quantity; pNN is the smallest value that NN % of all do not exceed (nearest rank)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float


class Figures(BaseModel):
    """Of the requests that were due in the measured time, the warm-up left out.

    Throughput is of the measured time instead, whenever a request was due: what is still unanswered at its end is no
    throughput, and what was asked in the warm-up and answered in it is.

    Args:
        offered_per_s: Requests that were due, a second.
        answered_per_s: Requests that succeeded in the measured time, a second.
        ttft_ms: Time to first token, from when the request was due. Streams only.
        tpot_ms: Time per output token after the first, of one sequence: (last - first) / (tokens / sequences - 1), one
            value a request. Streams whose tokens somebody counted.
        gap_ms: Every gap between two tokens, of all requests.
        e2e_ms: From when it was due to the whole answer, of those that succeeded.
        output_tokens_per_s: Of all requests together, in the measured time; the tokens of a stream are taken as evenly
            spread from its first to its last.
        output_tokens_per_s_per_user: While it is being answered: one value a request, tokens / (ended - sent).
        uncounted: Requests that succeeded whose output tokens nobody counted; no figure of tokens holds them.
        hit_rate: Share of the successful requests that say X-Cache and were hits; null where none says it.
        goodput: Share of all requests that succeeded within the targets; null where there is no target. A target
            binds the requests that have its quantity: one that was not streamed has no first token.
        errors: How many of each kind.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    measured_s: float
    requests: int
    succeeded: int
    offered_per_s: float
    answered_per_s: float
    ttft_ms: Spread | None = None
    tpot_ms: Spread | None = None
    gap_ms: Spread | None = None
    e2e_ms: Spread | None = None
    queued_ms: Spread | None = None
    input_tokens: int
    output_tokens: int
    output_tokens_per_s: float
    output_tokens_per_s_per_user: Spread | None = None
    uncounted: int = 0
    hit_rate: float | None = None
    goodput: float | None = None
    errors: dict[str, int]
