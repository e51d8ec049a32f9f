"""What TGI does with a GPU's memory, or on a CPU with the machine's, read in its files at tag v3.3.7."""

from scout_deploy.engines.container_engine import EngineRequest
from scout_deploy.engines.tgi.architectures import LLAMA4, OWN_CODE, OWN_CODE_WITHOUT_KV_DTYPE
from scout_deploy.engines.tgi.prefill import prefill_of
from scout_deploy.engines.tgi.quantization import effective_quantization
from scout_deploy.fit.engine_memory import EngineMemory, Experts
from scout_deploy.fit.gpu_kind import PlanGpu
from scout_deploy.fit.shape import ModelShape

_MEBIBYTE = 2**20

# server/text_generation_server/models/globals.py TGI_WIGGLE_ROOM; the KV cache gets what is free below
# CUDA_MEMORY_FRACTION times this (models/flash_causal_lm.py warmup, utils/import_utils.py get_cuda_free_memory).
_WIGGLE_ROOM = 0.90
# launcher/src/main.rs: `cuda_graphs`, "1,2,4,8,16,32"; none beside bitsandbytes and exl2.
_GRAPHS = (1, 2, 4, 8, 16, 32)
_NO_GRAPHS = ("bitsandbytes", "exl2")
# server/text_generation_server/layers/attention/flashinfer.py get_workspace.
_FLASHINFER_WORKSPACE = 128 * _MEBIBYTE
# launcher/src/main.rs resolve_attention: flashinfer for these head sizes, else flashdecoding, or paged below Ampere.
_FLASHINFER_HEADS = (64, 128, 256)
_NOT_FLASHINFER = ("falcon", "deepseek_v2")
# models/globals.py BLOCK_SIZE.
_BLOCKS = {"flashinfer": 1, "flashdecoding": 256, "flashdecoding-ipex": 64, "paged": 16}
# Dockerfile_intel: `ENV ATTENTION` and `ENV CUDA_GRAPHS=0`.
_ON_CPU = "flashdecoding-ipex"
# utils/import_utils.py get_cpu_free_memory: of what is free after the warm-up, whatever CUDA_MEMORY_FRACTION says.
_SHARE_ON_CPU = 0.95
# Launcher, router and one Python with PyTorch and its extension for Intel: an assumption.
_BASE_ON_CPU = 1536 * _MEBIBYTE
_AMPERE = 8
# models/__init__.py get_model (DEEPSEEK_V2, DEEPSEEK_V3): the cache holds whole heads, not the latent form, each as
# wide as `qk_nope_dim` + `qk_rope_dim`, names that no config has, so that the defaults 128 and 64 count.
_LATENT_HEAD = 192
# models/transformers_flash_causal_lm.py REPLICATED_ATTENTION_MODELS.
_WHOLE_ATTENTION = ("olmo2",)
# models/transformers_flash_vlm.py: attention "tgi" applies no chunks, which transformers' own would.
_CHUNK_REASON = "TGI computes Llama 4 correctly for: it does not apply the model's chunked attention"
# Bytes of a number where TGI quantizes while it loads (layers/bnb.py, eetq.py, fp8.py): in 4 bits, 64 share a scale.
_QUANTIZES_TO = {
    "bitsandbytes": 1.0,
    "bitsandbytes-nf4": 0.5 + 4 / 64,
    "bitsandbytes-fp4": 0.5 + 4 / 64,
    "eetq": 1.0,
    "fp8": 1.0,
}


def memory_of(request: EngineRequest, shape: ModelShape, gpu: PlanGpu) -> EngineMemory:
    """Say what TGI does with memory for this profile and model on GPUs like this one, or on a CPU."""
    engine, architecture = request.profile.engine, shape.architecture
    told = effective_quantization(engine, request.facts)
    is_own = architecture in (*OWN_CODE, *OWN_CODE_WITHOUT_KV_DTYPE)
    is_llama4 = architecture in LLAMA4
    on_cpu = request.accelerator == "intel-cpu"
    attention = _ON_CPU if on_cpu else _attention(shape, gpu.compute_capability)
    fraction = engine.memory_fraction if engine.memory_fraction is not None and not on_cpu else 1.0
    has_kv_dtype = engine.kv_cache_dtype is not None and architecture in OWN_CODE
    prefill = prefill_of(request, gpu)
    unpacks = not is_own and request.facts.quantization == "compressed-tensors"
    return EngineMemory(
        name="TGI",
        usable_share=_SHARE_ON_CPU if on_cpu else fraction * _share(engine.environment),
        shares_what_is_free=on_cpu,
        base_bytes=_BASE_ON_CPU if on_cpu else None,
        limit_share=fraction,
        block_tokens=_BLOCKS[attention],
        prefill_tokens=prefill.tokens,
        prefill_from=prefill.origin,
        kv_bytes=1 if has_kv_dtype else 2,
        kv_heads=shape.kv_heads,
        kv_head_dim=shape.head_dim if shape.latent is None else max(_LATENT_HEAD, shape.latent.v_head_dim),
        linear_bytes=_QUANTIZES_TO.get(told or "") if is_own and request.facts.quantization is None else None,
        unpacks=unpacks,
        # rows_llama4.py: the images for other hardware lock no compressed-tensors, and its newer versions do so.
        keeps_unpacked=unpacks and request.accelerator != "nvidia",
        # layers/tensor_parallel.py TensorParallelEmbedding; transformers 4.51.0 splits no embedding.
        splits_embedding=is_own,
        splits_attention=architecture not in _WHOLE_ATTENTION,
        # custom_modeling/flash_llama_modeling.py and its relatives load the head from the embedding's name.
        copies_tied_head=is_own,
        experts=_experts(is_llama4=is_llama4, unpacks=unpacks),
        graphs=() if on_cpu or told in _NO_GRAPHS or engine.environment.get("CUDA_GRAPHS") == "0" else _GRAPHS,
        workspace_bytes=_FLASHINFER_WORKSPACE if attention == "flashinfer" else 0,
        longest_context=shape.attention_chunk if is_llama4 else None,
        longest_reason=_CHUNK_REASON if is_llama4 else "",
    )


def _attention(shape: ModelShape, compute_capability: str | None) -> str:
    if shape.head_dim in _FLASHINFER_HEADS and shape.architecture not in _NOT_FLASHINFER:
        return "flashinfer"
    major = (compute_capability or "").partition(".")[0]
    return "paged" if not major.isdigit() or int(major) < _AMPERE else "flashdecoding"


def _share(environment: dict[str, str]) -> float:
    try:
        share = float(environment.get("TGI_WIGGLE_ROOM", _WIGGLE_ROOM))
    except ValueError:
        return _WIGGLE_ROOM
    return share if 0 < share < 1 else _WIGGLE_ROOM


def _experts(*, is_llama4: bool, unpacks: bool) -> Experts:
    if is_llama4:
        # transformers 4.51.0 quantizers/base.py makes the experts a list of layers for compressed-tensors alone.
        return "each" if unpacks else "dense"
    return "routed"
