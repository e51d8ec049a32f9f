"""What a prompt's step needs beside weights and KV cache. Estimates from the published code, not measurements."""

from dataclasses import dataclass

from scout_deploy.fit.engine_memory import EngineMemory
from scout_deploy.fit.shape import ModelShape

# Numbers of the hidden size that are alive for each token at the peak of a layer: the residual, its norm, and the
# output of attention or feed-forward part, which is added out of place (transformers' and TGI's decoder layers).
_HIDDEN_ALIVE = 4
# gate and up as one tensor, and their product: TGI's and transformers' gated feed-forward parts.
_FEED_FORWARD_ALIVE = 3
_BYTES = 2
# Rows of logits at a warm-up's end, in bf16 and as float32 twice: TGI 3.3.7 utils/tokens.py works on float32 copies.
_LOGIT_ROWS = 32
_LOGIT_BYTES = 2 + 4 + 4


@dataclass(frozen=True, kw_only=True)
class Activations:
    """Bytes on each GPU: some for each token of a step, and some for the step."""

    for_each_token: int
    fixed: int

    def of(self, tokens: int) -> int:
        """Return what a step with so many tokens needs."""
        return self.for_each_token * tokens + self.fixed

    def most_tokens(self, size_bytes: int) -> int:
        """Return how many tokens a step may have that needs no more than this; 0 where not even one fits."""
        return max(0, (size_bytes - self.fixed) // self.for_each_token)


def activations(shape: ModelShape, engine: EngineMemory, shards: int, *, unpacked: int = 0) -> Activations:
    """Return what a step needs on each GPU.

    Args:
        unpacked: Bytes for a quantized layer's moment of being unpacked.
    """
    parts = shards if engine.splits_attention else 1
    heads = 2 * shape.attention_heads + 2 * shape.kv_heads
    attention = heads * _head_dim(shape) // parts
    numbers = _HIDDEN_ALIVE * shape.hidden_size + max(attention, _feed_forward(shape, engine, shards))
    return Activations(for_each_token=numbers * _BYTES, fixed=_LOGIT_ROWS * shape.vocab_size * _LOGIT_BYTES + unpacked)


def _head_dim(shape: ModelShape) -> int:
    latent = shape.latent
    return shape.head_dim if latent is None else latent.qk_nope_head_dim + latent.qk_rope_head_dim


def _feed_forward(shape: ModelShape, engine: EngineMemory, shards: int) -> int:
    ffn, hidden = shape.intermediate_size // shards, shape.hidden_size
    one = _FEED_FORWARD_ALIVE * ffn
    shared = _FEED_FORWARD_ALIVE * shape.shared_size // shards
    if not shape.experts:
        return one
    if engine.experts == "dense":
        # transformers 4.51.0 modeling_llama4.py Llama4TextMoe.forward: each token goes in once for each expert, and
        # Llama4TextExperts.forward multiplies all of them in one batch. Alive at once: the input, gate and up, the
        # activated gate and the product; or, when it comes out again, input, output, gate and up, and the product.
        # Measured with PyTorch 2.11 on an H200, of a layer of Scout's sizes for 1, 2, 4 and 8 GPUs: 0.03 % more.
        return shape.experts * max(hidden + 4 * ffn, 2 * hidden + one) + shared
    if engine.experts == "each":
        # The same with quantizers' SequentialLlama4TextExperts: in and out for every expert, and one that works.
        # Measured as above: 0.03 % more.
        return 2 * shape.experts * hidden + one + shared
    return shape.experts_per_token * (hidden + one) + shared
