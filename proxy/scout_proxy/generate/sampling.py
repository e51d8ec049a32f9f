"""From the contract's sampling fields to what an engine accepts. Pure."""

import struct
from collections.abc import Callable

from scout_proxy.generate.contract import GenerateRequest
from scout_proxy.upstreams.engine import GenerationParameters

# Engines compute with 32-bit floats and fail, for a whole batch, when logits divided by the temperature,
# or by the penalty, overflow.
# At these bounds the distribution is already greedy, or uniform, to the last digit.
_MIN_TEMPERATURE = 1e-3
_MAX_TEMPERATURE = 1e4
_MIN_PENALTY = 1e-3
_MAX_PENALTY = 1e3
_MIN_TOP_P = 1e-6
# Seeds are 32 bit in some engines, and some take the largest for "draw one".
_SEED_COUNT = 2**31


def is_greedy(request: GenerateRequest) -> bool:
    """Tell whether every sequence of this request is the same."""
    return request.temperature == 0


def is_deterministic(request: GenerateRequest) -> bool:
    """Tell whether the same request always has the same answer."""
    return request.temperature == 0 or request.seed is not None


def sequence_seeds(request: GenerateRequest, draw: Callable[[int], list[int]]) -> list[int]:
    """Return a seed for each sequence: following the request's own where it has one, else drawn."""
    count = 1 if is_greedy(request) else request.num_return_sequences
    if request.seed is None:
        return draw(count)
    return [following_seed(request.seed, index) for index in range(count)]


def generation_parameters(request: GenerateRequest, *, max_new_tokens: int, seed: int) -> GenerationParameters:
    """Translate one sequence of a request.

    A temperature of 0 is greedy decoding, which engines refuse to be asked for as a temperature. Sampling is asked for
    explicitly, since TGI takes a temperature of 1.0 alone for greedy. `top_p` 1 and `top_k` 0 are off and left out.

    Args:
        seed: Of this sequence; unused where nothing is drawn.
    """
    if is_greedy(request):
        return GenerationParameters(
            max_new_tokens=max_new_tokens,
            do_sample=False,
            repetition_penalty=_penalty(request.repetition_penalty),
            stop=request.stop or None,
        )
    return GenerationParameters(
        max_new_tokens=max_new_tokens,
        do_sample=True,
        temperature=engine_temperature(request.temperature),
        top_p=engine_top_p(request.top_p),
        top_k=request.top_k or None,
        repetition_penalty=_penalty(request.repetition_penalty),
        seed=seed,
        stop=request.stop or None,
    )


def engine_temperature(temperature: float) -> float:
    """Return what an engine can compute with, for a temperature above 0."""
    return min(max(temperature, _MIN_TEMPERATURE), _MAX_TEMPERATURE)


def _penalty(penalty: float | None) -> float | None:
    return None if penalty is None else min(max(penalty, _MIN_PENALTY), _MAX_PENALTY)


def engine_top_p(top_p: float) -> float | None:
    """Return what an engine takes; None where it is off."""
    (as_engine_reads_it,) = struct.unpack("f", struct.pack("f", top_p))
    return None if as_engine_reads_it >= 1 else max(top_p, _MIN_TOP_P)


def following_seed(seed: int, index: int) -> int:
    """Return the seed of a request's sequence."""
    return (seed + index) % _SEED_COUNT
