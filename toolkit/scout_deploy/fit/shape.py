"""How large a model is, read from its published `config.json`: layers, heads, experts, vocabulary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scout_deploy.fit.class_defaults import text_part
from scout_deploy.fit.tensor import UnusableFactsError

# Far above any published model's, far below what would make the arithmetic meaningless.
_MOST = {
    "layers": 10_000,
    "hidden_size": 1_000_000,
    "attention_heads": 100_000,
    "kv_heads": 100_000,
    "head_dim": 100_000,
    "intermediate_size": 10_000_000,
    "experts": 100_000,
    "vocab_size": 100_000_000,
    "max_positions": 1_000_000_000,
}

# What every model has, by the names that architectures give it.
_HEADS = ("num_attention_heads", "n_head", "n_heads")
_HIDDEN = ("hidden_size", "n_embd", "d_model")
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers")
_VOCABULARY = ("vocab_size",)


@dataclass(frozen=True, kw_only=True)
class Latent:
    """Multi-head latent attention, as DeepSeek's models have it: sizes of a head's parts."""

    kv_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """Of the text model, where there is a vision part too; None where the config does not say.

    Args:
        architecture: `model_type`, such as `llama4`.
        kv_heads: Of a grouped query attention; the query heads where every one has its own.
        intermediate_size: Of a layer's feed-forward part; of one expert where there are experts.
        shared_size: Of the experts that work on every token, all together.
        experts_per_token: Of the routed ones.
        sliding_window: Tokens that a layer looks back at most, where some do.
        attention_chunk: Tokens of a chunk that some layers do not look out of (Llama 4).
        custom_code: Whether the checkpoint brings Python files of its own that are needed to run it.
    """

    architecture: str
    layers: int
    hidden_size: int
    attention_heads: int
    kv_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    experts: int = 0
    experts_per_token: int = 0
    shared_size: int = 0
    max_positions: int | None = None
    sliding_window: int | None = None
    attention_chunk: int | None = None
    latent: Latent | None = None
    ties_embeddings: bool = False
    is_multimodal: bool = False
    custom_code: bool = False


def read_shape(config: Mapping[str, Any]) -> ModelShape:
    """Read a `config.json`, the names that older architectures give the same things included.

    Raises:
        UnusableFactsError: A number that is needed is missing, no number, or absurd.
    """
    text = text_part(config)
    numbers = _Numbers(text)
    heads = numbers.need("attention_heads", *_HEADS)
    hidden = numbers.need("hidden_size", *_HIDDEN)
    experts = numbers.get("experts", "num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
    return ModelShape(
        architecture=str(config.get("model_type") or text.get("model_type") or "unknown"),
        layers=numbers.need("layers", *_LAYERS),
        hidden_size=hidden,
        attention_heads=heads,
        kv_heads=_kv_heads(numbers, text, heads),
        head_dim=numbers.get("head_dim", "head_dim") or hidden // heads,
        intermediate_size=_intermediate(numbers, text, hidden, experts=bool(experts)),
        vocab_size=numbers.need("vocab_size", *_VOCABULARY),
        experts=experts or 0,
        experts_per_token=numbers.get("experts", "num_experts_per_tok", "moe_top_k") or (1 if experts else 0),
        shared_size=_shared(numbers, text),
        max_positions=numbers.get("max_positions", "max_position_embeddings", "n_positions", "max_seq_len"),
        sliding_window=_window(text),
        attention_chunk=numbers.get("max_positions", "attention_chunk_size"),
        latent=_latent(numbers),
        # transformers' default, which it therefore leaves out of the file.
        ties_embeddings=bool(text.get("tie_word_embeddings", True)),
        is_multimodal="vision_config" in config,
        custom_code=bool(config.get("auto_map")),
    )


def absurd_number(config: Mapping[str, Any]) -> str | None:
    """Say which number of a config no model can have; None where it has none such, whatever is missing."""
    numbers = _Numbers(text_part(config))
    names = {"attention_heads": _HEADS, "hidden_size": _HIDDEN, "layers": _LAYERS, "vocab_size": _VOCABULARY}
    try:
        for what, keys in names.items():
            numbers.get(what, *keys)
    except UnusableFactsError as exc:
        return str(exc)
    return None


class _Numbers:
    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def get(self, what: str, *keys: str) -> int | None:
        for key in keys:
            value = self._values.get(key)
            if value is None or (what == "experts" and isinstance(value, bool | dict | list)):
                continue
            if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _MOST[what]:
                if value == 0 and what in {"experts", "intermediate_size"}:
                    continue
                raise UnusableFactsError(f"config.json says {key}: {repr(value)[:80]}, which no model has")
            return value
        return None

    def need(self, what: str, *keys: str) -> int:
        found = self.get(what, *keys)
        if found is None:
            raise UnusableFactsError(f"config.json does not say {' or '.join(keys)}")
        return found


def _kv_heads(numbers: _Numbers, text: Mapping[str, Any], heads: int) -> int:
    # Falcon says `multi_query`, and `num_kv_heads` of its newer decoder alone; DBRX nests its own.
    if text.get("multi_query") is True and not text.get("new_decoder_architecture"):
        return 1
    nested = text.get("attn_config")
    if isinstance(nested, dict) and (found := _Numbers(nested).get("kv_heads", "kv_n_heads")) is not None:
        return found
    return numbers.get("kv_heads", "num_key_value_heads", "num_kv_heads") or heads


def _intermediate(numbers: _Numbers, text: Mapping[str, Any], hidden: int, *, experts: bool) -> int:
    keys: Sequence[str] = ("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size")
    if experts:
        keys = ("moe_intermediate_size", *keys)
    nested = text.get("ffn_config")
    if isinstance(nested, dict) and (found := _Numbers(nested).get("intermediate_size", "ffn_hidden_size")):
        return found
    # What GPT-2, Falcon and BLOOM mean where they say nothing.
    return numbers.get("intermediate_size", *keys) or 4 * hidden


def _shared(numbers: _Numbers, text: Mapping[str, Any]) -> int:
    if (own := numbers.get("intermediate_size", "shared_expert_intermediate_size")) is not None:
        return own
    if (count := numbers.get("experts", "n_shared_experts")) is not None:
        return count * (numbers.get("intermediate_size", "moe_intermediate_size") or 0)
    # Llama 4's shared expert is as large as a routed one (transformers: modeling_llama4.py Llama4TextMoe).
    is_llama4 = str(text.get("model_type", "")).startswith("llama4")
    return (numbers.get("intermediate_size", "intermediate_size") or 0) if is_llama4 else 0


def _window(text: Mapping[str, Any]) -> int | None:
    # Qwen 2 names a window and does not use it.
    window = text.get("sliding_window")
    is_used = text.get("use_sliding_window", True)
    return window if isinstance(window, int) and not isinstance(window, bool) and window > 0 and is_used else None


def _latent(numbers: _Numbers) -> Latent | None:
    sizes = {
        key: numbers.get("hidden_size", key)
        for key in ("kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim")
    }
    known = {key: value for key, value in sizes.items() if value is not None}
    return Latent(**known) if len(known) == len(sizes) else None
