"""From the contract's sampling fields to what an engine accepts. Pure."""

import struct

from scout_proxy.contract import GenerateRequest
from scout_proxy.engine import GenerationParameters

# Engines compute with 32-bit floats and fail, for a whole batch, when logits divided by the temperature overflow.
# At these bounds the distribution is already greedy, or uniform, to the last digit.
_MIN_TEMPERATURE = 1e-3
_MAX_TEMPERATURE = 1e4
_MIN_TOP_P = 1e-6


def is_greedy(request: GenerateRequest) -> bool:
    """Tell whether every sequence of this request is the same."""
    return request.temperature == 0


def generation_parameters(request: GenerateRequest, *, max_new_tokens: int, seed: int) -> GenerationParameters:
    """Translate one sequence of a request.

    A temperature of 0 is greedy decoding, which engines refuse to be asked for as a temperature. Sampling is asked for
    explicitly, since TGI takes a temperature of 1.0 alone for greedy. `top_p` 1 and `top_k` 0 are off and left out.

    Args:
        seed: Of this sequence; unused where nothing is drawn.
    """
    if is_greedy(request):
        return GenerationParameters(max_new_tokens=max_new_tokens, do_sample=False)
    return GenerationParameters(
        max_new_tokens=max_new_tokens,
        do_sample=True,
        temperature=min(max(request.temperature, _MIN_TEMPERATURE), _MAX_TEMPERATURE),
        top_p=_top_p(request.top_p),
        top_k=request.top_k or None,
        seed=seed,
    )


def _top_p(top_p: float) -> float | None:
    (as_engine_reads_it,) = struct.unpack("f", struct.pack("f", top_p))
    return None if as_engine_reads_it >= 1 else max(top_p, _MIN_TOP_P)
