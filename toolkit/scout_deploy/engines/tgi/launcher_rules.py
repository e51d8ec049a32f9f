"""What TGI's launcher, its shards and its router would refuse after minutes of loading, checked before anything starts.

That the prompt is shorter than the context is a rule of every profile (`profile/rules.py`).
"""

import difflib
from collections.abc import Iterator

from scout_deploy.engines.container_engine import EngineRequest
from scout_deploy.engines.tgi.quantization import METHODS, effective_quantization

# launcher/src/main.rs `enum Dtype` and `enum KVCacheDtype`, at tag v3.3.7.
_DTYPES = ("bfloat16", "float16")
_KV_CACHE_DTYPES = ("fp8_e4m3fn", "fp8_e5m2")
# server/text_generation_server/models/__init__.py `get_model`: support_chunking=False; and the padded ones.
_UNCHUNKED = ("gemma3", "qwen2_vl", "qwen2_5_vl", "mllama", "bloom", "mpt", "opt", "t5", "mamba", "idefics")
_OFF = frozenset({"0", "false"})


def broken_launcher_rules(request: EngineRequest) -> Iterator[str]:
    """Yield a line for each rule that the request breaks, such as `engine/dtype: got float32, expected ...`."""
    engine = request.profile.engine
    if engine.quantization is not None and engine.quantization not in METHODS:
        near = difflib.get_close_matches(engine.quantization, METHODS, n=1)
        guess = f"; did you mean {near[0]}?" if near else ""
        yield f"engine/quantization: got {engine.quantization}, expected one of {', '.join(METHODS)}{guess}"
    if engine.dtype is not None and engine.dtype not in _DTYPES:
        yield f"engine/dtype: got {engine.dtype}, expected bfloat16 or float16, or nothing for the model's own"
    if engine.kv_cache_dtype is not None and engine.kv_cache_dtype not in _KV_CACHE_DTYPES:
        yield (
            f"engine/kv_cache_dtype: got {engine.kv_cache_dtype}, expected {' or '.join(_KV_CACHE_DTYPES)}, "
            "or nothing for the model's own"
        )
    yield from _shard_rules(request)
    yield from _prefill_rules(request)
    if engine.environment.get("VALIDATION_WORKERS") == "0":
        yield "engine/environment/VALIDATION_WORKERS: got 0, expected 1 or more"


def _shard_rules(request: EngineRequest) -> Iterator[str]:
    shards, facts = request.shards, request.facts
    if shards == 1:
        return
    # launcher/src/main.rs `main`: "Sharding is currently not supported with `exl2` quantization".
    if effective_quantization(request.profile.engine, facts) == "exl2":
        yield f"hardware/gpu_count: got {shards}, expected 1: exl2 weights cannot be split"
    # server/text_generation_server/models/custom_modeling/flash_llama_modeling.py, "must be divisible by `num_shards`".
    counts = [count for count in (facts.attention_heads, facts.kv_heads) if count is not None]
    if any(count % shards for count in counts):
        fitting = [number for number in range(1, min(counts) + 1) if not any(count % number for count in counts)]
        heads = " and ".join(map(str, dict.fromkeys(counts)))
        yield (
            f"hardware/gpu_count: got {shards}, expected {' or '.join(map(str, fitting))}: "
            f"it has to divide the model's attention heads ({heads})"
        )


def _prefill_rules(request: EngineRequest) -> Iterator[str]:
    # backends/v3/src/main.rs: "`max_batch_prefill_tokens` must be >= `max_input_tokens`", where chunking is off.
    engine = request.profile.engine
    longest = engine.max_input_tokens
    if longest is None and engine.context_length is not None:
        # server/text_generation_server/models/flash_causal_lm.py `warmup`.
        longest = engine.context_length - 1
    prefill = engine.max_batch_prefill_tokens
    if longest is None or prefill is None or prefill >= longest or not (reason := _unchunked(request)):
        return
    yield (
        f"engine/max_batch_prefill_tokens: got {prefill}, expected {longest} or more: {reason}, so the longest prompt "
        "has to fit into one step; or lower engine/max_input_tokens"
    )


def _unchunked(request: EngineRequest) -> str | None:
    chunking = request.profile.engine.environment.get("PREFILL_CHUNKING")
    if chunking is not None:
        return "PREFILL_CHUNKING is off" if chunking.lower() in _OFF else None
    if request.accelerator == "amd":
        return "the ROCm image computes prompts whole (PREFILL_CHUNKING=0 in Dockerfile_amd)"
    if request.facts.architecture in _UNCHUNKED:
        return f"TGI computes prompts of {request.facts.architecture} whole"
    return None
