"""The sizes of the network."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A small network of the Llama 4 architecture.

    Attributes:
        no_rope_step: Every layer whose number (from 1) is a multiple of this has no position encoding (NoPE) and sees
            the whole context; the others have RoPE and see their chunk. Llama 4 Scout and llama.cpp: 4.
        chunk_size: Tokens that a RoPE layer sees, and where a NoPE layer begins to scale its queries. llama.cpp: 8192.
        context_length: At most `chunk_size`, so that chunks and query scaling never differ from plain causal attention.
    """

    vocabulary: int = 4096
    hidden: int = 256
    layers: int = 4
    heads: int = 8
    kv_heads: int = 2
    head_size: int = 32
    experts: int = 4
    expert_hidden: int = 256
    shared_hidden: int = 256
    no_rope_step: int = 4
    chunk_size: int = 8192
    context_length: int = 8192
    rope_base: float = 500_000.0
    norm_epsilon: float = 1e-5

    def has_rope(self, layer: int) -> bool:
        """Say whether the layer (from 0) has position encoding."""
        return (layer + 1) % self.no_rope_step != 0
