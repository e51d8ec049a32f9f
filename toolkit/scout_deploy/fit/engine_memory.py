"""What a ledger has to know of an engine: how it splits a model, what it keeps free, how it stores the KV cache."""

from dataclasses import dataclass
from typing import Literal

# How the feed-forward part of a mixture of experts is computed, which decides what a prompt's step needs.
# `dense`: every expert for every token, in one multiplication. `each`: every token for every expert, one expert after
# the other. `routed`: only the chosen experts.
Experts = Literal["dense", "each", "routed"]


@dataclass(frozen=True, kw_only=True)
class EngineMemory:
    """One engine with one profile and one model.

    Args:
        name: The engine's, for a person.
        usable_share: Of a GPU's memory, up to which the KV cache is allotted.
        shares_what_is_free: Whether that share is of what is free once a prompt was computed, and not of the whole.
        base_bytes: What the engine takes before any weights; None for CUDA's context and its libraries.
        limit_share: Of a GPU's memory, beyond which the engine may take nothing at all.
        block_tokens: The KV cache is allotted in blocks of so many tokens.
        prefill_tokens: Tokens of a prompt computed in one step, with which the engine warms up.
        prefill_from: Who said so: `profile`, or the engine's default.
        kv_bytes: Of one number of the KV cache.
        kv_heads: That the cache holds for each token, over all GPUs.
        kv_head_dim: Numbers of one such head.
        computed_bytes: Of one number of the weights that are computed with as they are.
        linear_bytes: Of one number of a linear layer where the engine quantizes while it loads; None where it does not.
        unpacks: Whether a quantized layer is unpacked into full numbers for each step.
        keeps_unpacked: Whether it is unpacked once, while it is loaded, and stays so.
        splits_embedding: Whether each GPU holds a part of the embedding; else each holds all of it.
        splits_attention: Whether each GPU has a part of the heads.
        copies_tied_head: Whether an output layer that is tied to the embedding is held a second time.
        graphs: Batch sizes that a graph is recorded for.
        workspace_bytes: What the engine's kernels hold on each GPU.
        longest_context: Tokens beyond which answers depart from the model's, whatever memory there is.
        longest_reason: Why.
    """

    name: str
    usable_share: float
    limit_share: float
    block_tokens: int
    prefill_tokens: int
    prefill_from: str
    kv_bytes: float
    kv_heads: int
    kv_head_dim: int
    shares_what_is_free: bool = False
    base_bytes: int | None = None
    computed_bytes: int = 2
    linear_bytes: float | None = None
    unpacks: bool = False
    keeps_unpacked: bool = False
    splits_embedding: bool = True
    splits_attention: bool = True
    copies_tied_head: bool = False
    experts: Experts = "routed"
    graphs: tuple[int, ...] = ()
    workspace_bytes: int = 0
    longest_context: int | None = None
    longest_reason: str = ""
