"""Put a valid request into the words of llama.cpp's `/completion`."""

from scout_engine.validation import ValidRequest

# llama.cpp takes this seed for "choose one" (LLAMA_DEFAULT_SEED).
_RANDOM_SEED = 0xFFFFFFFF
# TGI penalizes first, then warps: temperature, top_k, top_p, typical_p
# (server/text_generation_server/utils/logits_process.py).
_SAMPLERS = ("penalties", "temperature", "top_k", "top_p", "typ_p")


def fold_seed(seed: int) -> int:
    """Fold a 64-bit seed into the 32 bits that llama.cpp takes, never into the value that means random."""
    folded = (seed ^ (seed >> 32)) & 0xFFFFFFFF
    return folded - 1 if folded == _RANDOM_SEED else folded


def completion_body(request: ValidRequest, seed: int, context: int) -> dict[str, object]:
    """Return the body that makes llama.cpp generate for `request`.

    No prompt is reused from an earlier request: computed in another batch shape, 15 of 80 greedy answers differed from
    their first run (q8_0). TGI does not cache prefixes for Llama 4 either.

    Every field whose default is not neutral is set. Stop strings are not sent: llama.cpp cuts them off, and TGI keeps
    them.

    Args:
        request: The request.
        seed: 64 bits; without meaning when the request is greedy.
        context: Tokens of one slot; the penalties look back over all of them, prompt included, as TGI's do.
    """
    body: dict[str, object] = {
        "prompt": list(request.input_ids),
        "n_predict": request.max_new_tokens,
        "stream": True,
        "cache_prompt": False,
        "n_probs": max(1, request.top_n_tokens) if request.needs_logprobs else 0,
        "sse_ping_interval": -1,
        "seed": fold_seed(seed),
        "temperature": request.temperature if request.sampling else 0.0,
        "top_k": request.top_k,
        "top_p": request.top_p,
        "typical_p": request.typical_p,
        "min_p": 0.0,
        "repeat_penalty": request.repetition_penalty,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "repeat_last_n": context,
        "samplers": _SAMPLERS,
        "response_fields": ["stop_type", "tokens_predicted", "tokens_evaluated"],
    }
    if request.schema is not None:
        body["json_schema"] = request.schema
    return body
