"""The ledger of one GPU: who gets how much of its memory, and what is left for the KV cache."""

from collections.abc import Sequence
from dataclasses import dataclass

from scout_deploy.fit.activation import Activations, activations
from scout_deploy.fit.correction import NO_CORRECTION, Correction
from scout_deploy.fit.engine_memory import EngineMemory
from scout_deploy.fit.gpu_kind import PlanGpu
from scout_deploy.fit.model import FitModel
from scout_deploy.fit.sharding import Held, held_by_each, unpacked_bytes

_MEBIBYTE = 2**20

# CUDA context, the kernels of PyTorch and cuBLAS and its workspace: 725 MiB measured with PyTorch 2.11 on an H200 after
# a matrix product, attention, softmax and sort; engines bring kernels of their own.
CONTEXT_BYTES = 800 * _MEBIBYTE
# NCCL's buffers and communicators between GPUs of one box: an assumption. Measured elsewhere were 544 MB for two A100
# with NVLink and 688 MB for more (https://github.com/NVIDIA/nccl/issues/964); it grows with the channels, so that less
# bandwidth means less (https://github.com/NVIDIA/nccl/issues/986). TGI's one published start between two A100 leaves
# more memory than this already predicts (see `verdict.MARGIN`), hence the lower figure.
NCCL_BYTES = 400 * _MEBIBYTE
# A recorded graph's own memory beside the pool that all share: an assumption, as no figure of TGI's is published. With
# FlashInfer, which TGI uses, each batch size's wrapper took 72 MB (https://github.com/flashinfer-ai/flashinfer/issues/2046,
# version 0.5.1); vLLM's graphs of a 1B model took 6 MB each (https://github.com/vllm-project/vllm/pull/11349).
GRAPH_BYTES = 64 * _MEBIBYTE


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Bytes of the fullest of the GPUs that one engine is split over, or of the memory of a CPU.

    Args:
        total: What CUDA gives out, or what the machine has.
        held: What other processes have.
        context: What CUDA and its libraries take, or on a CPU the engine itself.
        weights: See `Held`.
        step: What a prompt's step needs, at the engine's prefill budget.
        activations: The same for any number of tokens.
        graphs: Recorded graphs; they live in what the engine does not allot.
        kv_token: Of one token in the KV cache.
        kv: What the engine can allot to the KV cache; negative where something is missing.
        block_tokens: Tokens of a block.
        reserve: What the engine leaves alone by its own rule.
        correction: What earlier starts on the box took beyond all this.
    """

    total: int
    held: int
    context: int
    weights: Held
    step: int
    activations: Activations
    graphs: int
    kv_token: int
    kv: int
    block_tokens: int
    reserve: int
    correction: Correction = NO_CORRECTION

    @property
    def kv_tokens(self) -> int:
        """Tokens that the KV cache holds, in whole blocks."""
        return max(0, self.kv) // (self.kv_token * self.block_tokens) * self.block_tokens

    def largest_prefill(self, context: int) -> int:
        """Return the tokens that a step may have so that a context of so many tokens still fits."""
        room = self.kv + self.step - self.kv_token * context
        return self.activations.most_tokens(room)


def ledger(
    model: FitModel, engine: EngineMemory, gpus: Sequence[PlanGpu], correction: Correction = NO_CORRECTION
) -> Ledger:
    """Return the ledger of the fullest GPU.

    Args:
        gpus: That one engine is split over; at least one.
    """
    shards = len(gpus)
    fullest = min(gpus, key=lambda gpu: gpu.total_bytes * engine.usable_share - gpu.held_bytes)
    weights = held_by_each(model, engine, shards)
    base = CONTEXT_BYTES if engine.base_bytes is None else engine.base_bytes
    context = base + engine.workspace_bytes + (NCCL_BYTES if shards > 1 else 0)
    unpacked = unpacked_bytes(model, engine)
    needs = activations(model.shape, engine, shards, unpacked=unpacked)
    step = needs.of(engine.prefill_tokens)
    free = fullest.total_bytes - fullest.held_bytes - context - correction.size - weights.total - step
    reserve = _reserve(engine, fullest.total_bytes, free)
    kv_heads = engine.kv_heads
    if shards > 1 and engine.splits_attention and kv_heads > 1:
        kv_heads = -(-kv_heads // shards)
    return Ledger(
        total=fullest.total_bytes,
        held=fullest.held_bytes,
        context=context,
        weights=weights,
        step=step,
        activations=needs,
        graphs=GRAPH_BYTES * len(engine.graphs),
        kv_token=int(model.shape.layers * 2 * kv_heads * engine.kv_head_dim * engine.kv_bytes),
        kv=free - reserve,
        block_tokens=engine.block_tokens,
        reserve=reserve,
        correction=correction,
    )


def _reserve(engine: EngineMemory, total: int, free: int) -> int:
    whole = max(0, free) if engine.shares_what_is_free else total
    return whole - int(whole * engine.usable_share)
