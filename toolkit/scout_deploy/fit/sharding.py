"""What one GPU of several holds of a model's tensors, under tensor parallelism."""

import re
from dataclasses import dataclass

from scout_deploy.fit.engine_memory import EngineMemory
from scout_deploy.fit.model import FitModel
from scout_deploy.fit.tensor import COMPUTED, DTYPE_BITS, Tensor

# Held whole by each GPU. Routers, and the down-projections of latent attention: TGI 3.3.7, custom_modeling/
# flash_mixtral_modeling.py and flash_deepseek_v2_modeling.py (`get_linear(weights.get_tensor(...))`). Vision towers:
# transformers 4.51.0, no entry for them in Llama 4's tensor-parallel plan; TGI's own vision models do split some of
# theirs, which is at most a GB of an 11B model. Learned positions: `weights.get_tensor`.
_WHOLE = re.compile(
    r"(^|\.)(router|gate|shared_expert_gate|q_a_proj|kv_a_proj_with_mqa|wpe|position_embeddings|embed_positions)\."
    r"|(^|\.)(vision_model|vision_tower|vision_embed_tokens|visual|multi_modal_projector|mm_projector|connector)\."
)
_EMBEDDING = re.compile(r"(^|\.)(embed_tokens|wte|word_embeddings|embed_in|tok_embeddings)\.weight$")
_HEAD = re.compile(r"(^|\.)(lm_head|embed_out|output)\.weight$")
_ATTENTION = re.compile(r"\.(self_attn|self_attention|attn|attention)\.")
_MATRIX = 2


@dataclass(frozen=True, kw_only=True)
class Held:
    """Bytes of the weights on each of the GPUs.

    Args:
        split: Of tensors that are divided among the GPUs, this GPU's part.
        whole: Of tensors that every GPU holds.
    """

    split: int
    whole: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.split + self.whole


def held_by_each(model: FitModel, engine: EngineMemory, shards: int) -> Held:
    """Return what each GPU holds when the model is split over so many."""
    split = whole = 0
    for tensor in model.tensors:
        size = loaded_bytes(tensor, engine)
        if shards > 1 and _is_split(tensor, engine, shards):
            split += -(-size // shards)
        else:
            whole += size
    copy = _tied_copy(model, engine, shards)
    return Held(split=split + copy, whole=whole)


def loaded_bytes(tensor: Tensor, engine: EngineMemory) -> int:
    """Return what a tensor takes on a GPU when it is not split."""
    if tensor.dtype not in COMPUTED:
        is_unpacked = engine.keeps_unpacked and len(tensor.shape) == _MATRIX
        return _numbers(tensor) * engine.computed_bytes if is_unpacked else tensor.stored_bytes
    if engine.linear_bytes is not None and is_linear(tensor):
        return int(tensor.elements * engine.linear_bytes)
    return tensor.elements * min(engine.computed_bytes, DTYPE_BITS[tensor.dtype] // 8)


def is_linear(tensor: Tensor) -> bool:
    """Tell whether it is the weight of a linear layer inside the model, which engines can quantize while they load."""
    return (
        len(tensor.shape) == _MATRIX
        and tensor.name.endswith(".weight")
        and not any(pattern.search(tensor.name) for pattern in (_WHOLE, _EMBEDDING, _HEAD))
    )


def unpacked_bytes(model: FitModel, engine: EngineMemory) -> int:
    """Return what the unpacking of the largest quantized layer needs for a moment.

    Counted as for compressed-tensors 0.9.1 (CompressedLinear.forward): into 8 bit, then into the computed format, and
    times the scales into another tensor. An estimate.
    """
    if not engine.unpacks or engine.keeps_unpacked:
        return 0
    packed = [one for one in model.tensors if one.dtype not in COMPUTED and len(one.shape) == _MATRIX]
    numbers = max((_numbers(one) // one.copies for one in packed), default=0)
    return numbers * (1 + 2 * engine.computed_bytes)


def _numbers(packed: Tensor) -> int:
    # At least 4 bits a number: what is stored in int32 holds eight.
    return packed.elements * (8 if packed.dtype == "I32" else 1)


def _is_split(tensor: Tensor, engine: EngineMemory, shards: int) -> bool:
    if len(tensor.shape) < _MATRIX or _WHOLE.search(tensor.name):
        return False
    if _EMBEDDING.search(tensor.name):
        return engine.splits_embedding
    if _HEAD.search(tensor.name):
        # TGI 3.3.7 layers/tensor_parallel.py TensorParallelHead.load: loaded whole where it cannot be divided.
        return tensor.shape[0] % shards == 0
    if _ATTENTION.search(tensor.name) and not engine.splits_attention:
        return False
    # One scale for each row of a layer that is split by columns stays whole, and is small.
    return any(size % shards == 0 and size > 1 for size in tensor.shape)


def _tied_copy(model: FitModel, engine: EngineMemory, shards: int) -> int:
    if not (engine.copies_tied_head and model.shape.ties_embeddings):
        return 0
    if any(_HEAD.search(tensor.name) for tensor in model.tensors):
        return 0
    sizes = [loaded_bytes(one, engine) for one in model.tensors if _EMBEDDING.search(one.name)]
    whole = max(sizes, default=0)
    return -(-whole // shards) if model.shape.vocab_size % shards == 0 else whole
