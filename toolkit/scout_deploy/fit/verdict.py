"""Whether a model fits, why not, and with how much context."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scout_deploy.fit.correction import NO_CORRECTION, Correction
from scout_deploy.fit.engine_memory import EngineMemory
from scout_deploy.fit.gpu_kind import PlanGpu, describe
from scout_deploy.fit.ledger import Ledger, ledger
from scout_deploy.fit.model import FitModel

Answer = Literal["fits", "tight", "no"]

# Of a GPU's memory: what the estimates of activations, context and fragmentation may be wrong by. TGI's own published
# figure for Llama 3.1 70B on two A100 is 2.5 % of a GPU above what this predicts
# (https://github.com/huggingface/text-generation-inference/issues/2744).
MARGIN = 0.03
_GIGABYTE = 10**9


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer.

    Args:
        answer: `tight` where it should fit by less than the estimates may be wrong by.
        reason: One sentence.
        context: Tokens of one sequence that were asked for, or that the engine will take.
        kv_tokens: Tokens that the KV cache holds.
        sequences: That fit at full context.
        largest_context: The most tokens of one sequence that fit, the model's and the engine's own limits kept.
        context_limit: The lower of those limits, whatever the memory.
        largest_prefill: The most tokens of a prompt's step, at this context.
        missing: Bytes that each GPU lacks; 0 where nothing does.
    """

    answer: Answer
    reason: str
    context: int
    kv_tokens: int
    sequences: int
    largest_context: int
    context_limit: int
    largest_prefill: int
    missing: int
    ledger: Ledger

    @property
    def works(self) -> bool:
        """Whether it can be tried."""
        return self.answer != "no"


def judge_fit(
    model: FitModel,
    engine: EngineMemory,
    gpus: Sequence[PlanGpu],
    context: int | None,
    *,
    replicas: int = 1,
    correction: Correction = NO_CORRECTION,
) -> Verdict:
    """Judge one replica on its GPUs.

    Args:
        gpus: That one replica is split over; at least one. Or a CPU.
        context: Tokens of one sequence; None for what the engine would take by itself.
        replicas: How many there are on other GPUs like these, for the words alone.
        correction: What earlier starts like this one took beyond the arithmetic.
    """
    book = ledger(model, engine, gpus, correction)
    ceiling = _ceiling(model, engine)
    wanted = context if context is not None else max(1, min(book.kv_tokens, ceiling))
    reason, missing = _refusal(model, engine, book, wanted, gpus)
    answer: Answer = "no" if reason else "fits"
    if not reason:
        # An engine that chooses the context itself takes what there is, so that an error costs tokens and no start.
        spare = book.kv - book.kv_token * (context or 0)
        answer = "fits" if spare >= MARGIN * book.total else "tight"
        reason = _words(answer, book, wanted, gpus, replicas)
    return Verdict(
        answer=answer,
        reason=reason,
        context=wanted,
        kv_tokens=book.kv_tokens,
        sequences=book.kv_tokens // wanted,
        largest_context=min(book.kv_tokens, ceiling),
        context_limit=ceiling,
        largest_prefill=book.largest_prefill(wanted),
        missing=missing,
        ledger=book,
    )


def split_problem(model: FitModel, engine: EngineMemory, shards: int) -> str | None:
    """Say why the model's heads cannot be divided among so many GPUs; None where they can."""
    if shards == 1 or not engine.splits_attention:
        return None
    heads, kv_heads = model.shape.attention_heads, model.shape.kv_heads
    # One key-value head for all is held by each GPU.
    counts = (heads,) if kv_heads == 1 else (heads, kv_heads)
    if not any(count % shards for count in counts):
        return None
    allowed = allowed_splits(model, engine)
    return (
        f"the model has {heads} attention heads and {kv_heads} of keys and values, which {shards} GPUs cannot share; "
        f"{', '.join(map(str, allowed))} can"
    )


def allowed_splits(model: FitModel, engine: EngineMemory, most: int = 64) -> tuple[int, ...]:
    """Return the numbers of GPUs that the model can be split over."""
    shape = model.shape
    counts = (shape.attention_heads,) if shape.kv_heads == 1 else (shape.attention_heads, shape.kv_heads)
    if not engine.splits_attention:
        counts = (1,)
    return tuple(number for number in range(1, min(most, *counts) + 1) if not any(one % number for one in counts))


def _ceiling(model: FitModel, engine: EngineMemory) -> int:
    limits = [one for one in (model.shape.max_positions, engine.longest_context) if one is not None]
    return min(limits, default=2**31)


def _refusal(
    model: FitModel, engine: EngineMemory, book: Ledger, wanted: int, gpus: Sequence[PlanGpu]
) -> tuple[str, int]:
    problem = split_problem(model, engine, len(gpus)) or _beyond_limits(model, engine, wanted)
    if problem is not None:
        return problem, 0
    on = "" if len(gpus) == 1 else " on each GPU"
    free = book.total - book.held
    loaded = book.weights.total + max(0, book.context + book.correction.size)
    limit = int(book.total * engine.limit_share) - book.held
    others = _others(book)
    if loaded > limit:
        return (
            (
                f"the weights alone need {gb(book.weights.total)}{on}, and "
                f"{'the engine itself' if gpus[0].is_cpu else 'CUDA and its libraries'} {gb(book.context)}"
                f"{_learnt(book)}; "
                f"there are {gb(book.total)}{on}{others}"
            ),
            loaded - limit,
        )
    if loaded + book.step > limit:
        return (
            (
                f"beside weights of {gb(book.weights.total)}, a prompt's step of {engine.prefill_tokens:,} tokens "
                f"needs {gb(book.step)}, and of {gb(free)} only {gb(max(0, limit - loaded))} are left"
            ),
            loaded + book.step - limit,
        )
    return _refused_context(engine, book, wanted, on)


def _beyond_limits(model: FitModel, engine: EngineMemory, wanted: int) -> str | None:
    """Say which limit a context is beyond that no memory changes; None where it keeps them."""
    longest = model.shape.max_positions
    if longest is not None and wanted > longest:
        return f"a context of {wanted:,} tokens is beyond the model's own {longest:,}"
    if engine.longest_context is not None and wanted > engine.longest_context:
        return f"a context of {wanted:,} tokens is beyond the {engine.longest_context:,} that {engine.longest_reason}"
    return None


def _refused_context(engine: EngineMemory, book: Ledger, wanted: int, on: str) -> tuple[str, int]:
    if wanted > book.kv_tokens:
        lacking = book.kv_token * wanted - book.kv
        return (
            (
                f"a context of {wanted:,} tokens needs {gb(book.kv_token * wanted)} of KV cache{on}; {engine.name} "
                f"would have {gb(max(0, book.kv))}, {book.kv_tokens:,} tokens, and keeps {gb(book.reserve)} back"
                f"{_others(book)}"
            ),
            lacking,
        )
    return "", 0


def _learnt(book: Ledger) -> str:
    size = book.correction.size
    return f", and {gb(size)} more as measured on this box" if size > 0 else ""


def _others(book: Ledger) -> str:
    return f", of which other processes hold {gb(book.held)}" if book.held > book.total // 50 else ""


def _words(answer: Answer, book: Ledger, wanted: int, gpus: Sequence[PlanGpu], replicas: int) -> str:
    where = describe(gpus) + (f", for each of {replicas} replicas" if replicas > 1 else "")
    count = book.kv_tokens // wanted
    room = f"{book.kv_tokens:,} tokens of KV cache, {count:,} sequence{'s' if count != 1 else ''} of {wanted:,}"
    if answer == "tight":
        return f"should fit on {where}, by less than this estimate may be wrong: {room}"
    return f"fits on {where}: {room}"


def gb(size_bytes: float) -> str:
    """Return a size in GB (10^9 bytes) with one digit behind the point."""
    return f"{size_bytes / _GIGABYTE:.1f} GB"
