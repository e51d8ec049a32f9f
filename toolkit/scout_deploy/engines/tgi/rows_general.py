"""The rows of everything but quantization and the architectures themselves, for everything but Llama 4."""

from scout_deploy.engines.tgi.architectures import OWN_CODE
from scout_deploy.engines.tgi.truth import Row

_CLI = "server/text_generation_server/cli.py serve at v3.3.7"
_KV_CACHE = "server/text_generation_server/layers/attention/kv_cache.py KVCache at v3.3.7"
_ATTENTION = "launcher/src/main.rs resolve_attention at v3.3.7"
_DTYPES = ("fp8_e4m3fn", "fp8_e5m2")
_OF_SHARDS = ("awq", "compressed-tensors", "eetq", "exl2", "fp8", "gptq", "marlin")

_DTYPE_ROWS: tuple[Row, ...] = (
    Row(
        setting="engine/dtype",
        beside=_OF_SHARDS,
        verdict="refused",
        note="a dtype beside a quantization, the checkpoint's own too, ends the shards; leave engine/dtype out",
        source=_CLI,
    ),
    Row(
        setting="engine/dtype",
        values=("bfloat16", "float16"),
        verdict="honoured",
        note="the weights are loaded in it",
        source="server/text_generation_server/models/__init__.py get_model at v3.3.7",
    ),
)

_KV_ROWS: tuple[Row, ...] = (
    Row(
        setting="engine/kv_cache_dtype",
        values=("fp8_e4m3fn",),
        accelerators=("intel-cpu",),
        verdict="refused",
        note="there is no such cache on a CPU",
        source=_KV_CACHE,
    ),
    Row(
        setting="engine/kv_cache_dtype",
        values=("fp8_e5m2",),
        accelerators=("amd",),
        verdict="refused",
        note="there is no such cache on ROCm; fp8_e4m3fn works",
        source=_KV_CACHE,
    ),
    Row(
        setting="engine/kv_cache_dtype",
        values=_DTYPES,
        accelerators=("nvidia",),
        architectures=("falcon", "deepseek_v2", "deepseek_v3"),
        verdict="refused",
        note="it runs on flashdecoding, which has no FP8 cache",
        source=f"{_ATTENTION}, {_KV_CACHE}",
    ),
    Row(
        setting="engine/kv_cache_dtype",
        values=_DTYPES,
        accelerators=("nvidia",),
        architectures=("phi3", "phi", "gpt_neox", "gptj", "starcoder2"),
        verdict="unproven",
        note="only models with heads of 64, 128 or 256 run on flashinfer, which the FP8 cache needs",
        source=f"{_ATTENTION}, {_KV_CACHE}",
    ),
    Row(
        setting="engine/kv_cache_dtype",
        values=_DTYPES,
        architectures=OWN_CODE,
        verdict="honoured",
        note="the cache is kept in FP8",
        source=_KV_CACHE,
    ),
    Row(
        setting="engine/kv_cache_dtype",
        values=_DTYPES,
        verdict="ignored",
        note="it is not handed on for this architecture",
        source="server/text_generation_server/models/__init__.py get_model at v3.3.7",
    ),
)

ROWS: tuple[Row, ...] = (
    *_DTYPE_ROWS,
    *_KV_ROWS,
    Row(
        setting="engine/context_length",
        verdict="honoured",
        note="requests are held to it, and the warm-up fails where it does not fit",
        source="backends/v3/src/lib.rs connect_backend at v3.3.7",
    ),
    Row(
        setting="engine/memory_fraction",
        accelerators=("nvidia", "amd"),
        verdict="honoured",
        note="PyTorch is held to it, and the cache is sized by it",
        source="server/text_generation_server/utils/dist.py initialize_torch_distributed at v3.3.7",
    ),
    Row(
        setting="engine/memory_fraction",
        accelerators=("intel-cpu",),
        verdict="ignored",
        note="on a CPU the cache is sized by the free memory of the machine alone",
        source="server/text_generation_server/utils/import_utils.py get_cpu_free_memory at v3.3.7",
    ),
    Row(
        setting="hardware/gpu_count",
        sharded=False,
        verdict="honoured",
        note="one process",
        source="launcher/src/main.rs find_num_shards at v3.3.7",
    ),
    Row(
        setting="hardware/gpu_count",
        architectures=("mamba",),
        verdict="refused",
        note="TGI cannot split this architecture over GPUs",
        source="server/text_generation_server/models/mamba.py Mamba at v3.3.7",
    ),
    Row(
        setting="hardware/gpu_count",
        verdict="honoured",
        note="one process for each GPU",
        source="launcher/src/main.rs spawn_shards at v3.3.7",
    ),
    Row(
        setting="engine/environment",
        values=("MAX_BATCH_TOTAL_TOKENS",),
        verdict="ignored",
        note="models with flash attention take all memory that is left; set engine/memory_fraction",
        source="backends/v3/src/lib.rs connect_backend at v3.3.7",
    ),
    Row(
        setting="engine/environment",
        verdict="honoured",
        note="it is given to the container",
        source="launcher/src/main.rs Args at v3.3.7",
    ),
)
