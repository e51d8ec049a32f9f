"""The rows of quantization, for everything but Llama 4."""

from scout_deploy.engines.tgi.architectures import OWN_CODE, OWN_CODE_WITHOUT_KV_DTYPE, PADDED
from scout_deploy.engines.tgi.quantization import METHODS
from scout_deploy.engines.tgi.truth import Row, Setting

_OWN = (*OWN_CODE, *OWN_CODE_WITHOUT_KV_DTYPE)
_GET_LOADER = "server/text_generation_server/utils/quantization.py get_loader at v3.3.7"
_GET_MODEL = "server/text_generation_server/models/__init__.py get_model at v3.3.7"
_BACKEND = "server/text_generation_server/models/transformers_flash_causal_lm.py TransformersFlashCausalLM at v3.3.7"
_NOT_BUILT = "Dockerfile_amd and Dockerfile_intel at v3.3.7"
_ON_LOAD = ("bitsandbytes", "bitsandbytes-nf4", "bitsandbytes-fp4")
_SETTING: Setting = "engine/quantization"

_OWN_CODE_ROWS: tuple[Row, ...] = (
    Row(
        setting=_SETTING,
        architectures=_OWN,
        values=("gptq",),
        methods=("awq",),
        verdict="honoured",
        note="AWQ weights are converted to GPTQ's while loading",
        source="server/text_generation_server/layers/gptq/__init__.py GPTQWeight at v3.3.7",
    ),
    Row(
        setting=_SETTING,
        architectures=_OWN,
        checkpoints=("other",),
        verdict="refused",
        note="the loader is chosen by the flag alone, and would misread weights that are quantized otherwise",
        source=_GET_LOADER,
    ),
    Row(
        setting=_SETTING,
        architectures=_OWN,
        values=("awq", "gptq", "exl2", "marlin", "compressed-tensors"),
        checkpoints=("plain",),
        verdict="refused",
        note="it needs a checkpoint that was quantized so",
        source=_GET_LOADER,
    ),
    Row(
        setting=_SETTING,
        architectures=_OWN,
        values=("awq",),
        accelerators=("amd",),
        verdict="refused",
        note="there is no AWQ kernel for ROCm; set quantization: gptq for the same checkpoint",
        source="server/text_generation_server/layers/gptq/__init__.py GPTQWeight.get_linear at v3.3.7",
    ),
    Row(
        setting=_SETTING,
        architectures=_OWN,
        values=("marlin",),
        accelerators=("amd", "intel-cpu"),
        verdict="refused",
        note="Marlin needs an NVIDIA GPU of compute capability 8.0 or later",
        source="server/text_generation_server/layers/marlin/util.py _check_marlin_kernels at v3.3.7",
    ),
    Row(
        setting=_SETTING,
        architectures=_OWN,
        values=(*_ON_LOAD, "eetq"),
        accelerators=("amd", "intel-cpu"),
        verdict="refused",
        note="the image has no such library",
        source=_NOT_BUILT,
    ),
    Row(
        setting=_SETTING,
        architectures=_OWN,
        values=_ON_LOAD,
        checkpoints=("same",),
        verdict="unproven",
        note="TGI's own loader expects weights that are not quantized yet",
        source="server/text_generation_server/layers/bnb.py at v3.3.7",
    ),
    Row(
        setting=_SETTING,
        architectures=_OWN,
        values=("exl2", "compressed-tensors", "fp8"),
        accelerators=("amd", "intel-cpu"),
        verdict="unproven",
        note="no report of it on this hardware",
        source="server/text_generation_server/layers/fp8.py and compressed_tensors/loader.py at v3.3.7",
    ),
    Row(
        setting=_SETTING,
        architectures=("mixtral", "deepseek_v2", "deepseek_v3", "phimoe", "dbrx"),
        values=(*_ON_LOAD, "eetq", "exl2", "marlin", "compressed-tensors"),
        verdict="unproven",
        note="its experts fall back to the slow dense layer, which computes all of them for every token",
        source="server/text_generation_server/layers/moe/__init__.py SparseMoELayer.is_supported at v3.3.7",
    ),
    Row(
        setting=_SETTING,
        architectures=_OWN,
        values=METHODS,
        verdict="honoured",
        note="TGI's own code reads it",
        source=_GET_LOADER,
    ),
)

_BACKEND_ROWS: tuple[Row, ...] = (
    Row(
        setting=_SETTING,
        values=("gptq", "awq", "bitsandbytes-nf4", "bitsandbytes-fp4", "eetq", "exl2"),
        verdict="refused",
        note="TGI has no code of its own for this architecture, and does not hand this quantization to transformers",
        source=f"{_GET_MODEL} (NotImplementedError for AutoModel)",
    ),
    Row(
        setting=_SETTING,
        values=("compressed-tensors",),
        checkpoints=("plain",),
        verdict="refused",
        note="it needs a checkpoint that was quantized so",
        source=f"{_GET_MODEL} (QuantizationConfig)",
    ),
    Row(
        setting=_SETTING,
        values=("compressed-tensors", "fp8", "bitsandbytes"),
        checkpoints=("same",),
        verdict="unproven",
        note="transformers itself would load the checkpoint",
        source=_BACKEND,
    ),
    Row(
        setting=_SETTING,
        checkpoints=("other",),
        verdict="ignored",
        note="the checkpoint's own quantization decides",
        source=_BACKEND,
    ),
    Row(
        setting=_SETTING,
        values=("fp8", "marlin"),
        verdict="ignored",
        note="TGI has no code of its own for this architecture, and that of transformers is not told; "
        "it loads everything in 16 bit",
        source=_BACKEND,
    ),
    Row(
        setting=_SETTING,
        values=("bitsandbytes",),
        accelerators=("amd", "intel-cpu"),
        verdict="refused",
        note="the image has no such library",
        source=_NOT_BUILT,
    ),
    Row(
        setting=_SETTING,
        values=("bitsandbytes",),
        verdict="honoured",
        note="transformers quantizes to 8 bit while loading",
        source=_BACKEND,
    ),
)

ROWS: tuple[Row, ...] = (
    Row(
        setting=_SETTING,
        architectures=PADDED,
        values=METHODS,
        verdict="unproven",
        note="it runs on TGI's old code, without flash attention",
        source=_GET_MODEL,
    ),
    *_OWN_CODE_ROWS,
    *_BACKEND_ROWS,
    Row(
        setting=_SETTING,
        verdict="unproven",
        note="TGI knows no such quantization, and loads the checkpoint as if there were none",
        source=f"{_GET_MODEL} (Unknown quantization method)",
    ),
)
