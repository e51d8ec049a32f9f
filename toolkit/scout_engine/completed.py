"""A finished sequence: what was generated, why it ended, and what it took."""

from collections.abc import Sequence
from dataclasses import dataclass

from scout_engine.tokens import FinishReason, Token


@dataclass(frozen=True, kw_only=True)
class Timings:
    """Seconds spent on one request: checking it, waiting for a slot, in llama.cpp, and all together."""

    validation_s: float
    queue_s: float
    inference_s: float
    total_s: float


@dataclass(frozen=True, kw_only=True)
class Completed:
    """One finished sequence.

    Attributes:
        seed: 64 bits; None when the request was greedy.
        input_length: Tokens of the prompt.
    """

    text: str
    tokens: Sequence[Token]
    finish_reason: FinishReason
    generated_tokens: int
    seed: int | None
    input_length: int
    timings: Timings

    @property
    def mean_logprob(self) -> float:
        """What best_of compares; tokens whose logprob llama.cpp does not report are left out."""
        known = [token.logprob for token in self.tokens if token.logprob is not None]
        return sum(known) / len(known) if known else float("-inf")
