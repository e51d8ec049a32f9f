"""How TGI decides what the weights are quantized with, and which number format goes with that."""

from scout_deploy.model_facts import ModelFacts
from scout_deploy.profile.engine import Engine

# launcher/src/main.rs: `enum Quantization`, kebab-case, at tag v3.3.7; the same since v3.0.0.
METHODS = (
    *("awq", "compressed-tensors", "eetq", "exl2", "gptq", "marlin"),
    *("bitsandbytes", "bitsandbytes-nf4", "bitsandbytes-fp4", "fp8"),
)
# Those that need a checkpoint which was quantized so; the others quantize while loading.
NEED_A_CHECKPOINT = frozenset({"awq", "compressed-tensors", "exl2", "gptq", "marlin"})
# server/text_generation_server/cli.py `serve`: with any other quantization a dtype is an error.
BESIDE_DTYPE = frozenset({"bitsandbytes", "bitsandbytes-nf4", "bitsandbytes-fp4"})
# server/text_generation_server/models/__init__.py `get_model`: these are given dtype=torch.bfloat16, whatever is asked.
ALWAYS_BFLOAT16 = frozenset({"llama4"})


def effective_quantization(engine: Engine, facts: ModelFacts) -> str | None:
    """Return what the shards are told: the flag, else what the checkpoint's config names (launcher: `main`)."""
    return engine.quantization or facts.quantization


def dtype_for_launcher(engine: Engine, facts: ModelFacts) -> str | None:
    """Return the DTYPE to set.

    None also where TGI computes in the wanted format by itself: it would end with an error where both a dtype and a
    quantization reach it, and a checkpoint's own quantization counts as one.
    """
    if facts.architecture in ALWAYS_BFLOAT16:
        return None
    return engine.dtype
