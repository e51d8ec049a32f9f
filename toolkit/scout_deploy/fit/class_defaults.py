"""What a published `config.json` leaves out, because it is the default of transformers' class. Pure.

The text part of a model with images is written without what equals its class's defaults, and some older files name no
longest sequence. Values: transformers 4.51.0, `configuration_*.py` of each.
"""

from collections.abc import Mapping
from typing import Any

_GEMMA = {"head_dim": 256, "vocab_size": 256_000, "max_position_embeddings": 8192}
_OF_TEXT: Mapping[str, Mapping[str, int]] = {
    "llama": {
        "vocab_size": 32_000,
        "hidden_size": 4096,
        "intermediate_size": 11_008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "max_position_embeddings": 2048,
    },
    "mistral": {
        "vocab_size": 32_000,
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 131_072,
        "sliding_window": 4096,
    },
    "gemma": {
        **_GEMMA,
        "hidden_size": 3072,
        "intermediate_size": 24_576,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
    },
    "gemma2": {
        **_GEMMA,
        "hidden_size": 2304,
        "intermediate_size": 9216,
        "num_hidden_layers": 26,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "sliding_window": 4096,
    },
    "gemma3_text": {
        "vocab_size": 262_208,
        "hidden_size": 2304,
        "intermediate_size": 9216,
        "num_hidden_layers": 26,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "max_position_embeddings": 131_072,
        "sliding_window": 4096,
    },
}
_OF_WHOLE: Mapping[str, Mapping[str, int]] = {"falcon": {"max_position_embeddings": 2048}}


def text_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a config says of its text model, whether that is nested or not, and what it leaves out."""
    nested = config.get("text_config")
    if isinstance(nested, dict):
        return {**_of(_OF_TEXT, nested), **config, **nested}
    return {**_of(_OF_WHOLE, config), **config}


def _of(table: Mapping[str, Mapping[str, int]], config: Mapping[str, Any]) -> Mapping[str, int]:
    name = config.get("model_type")
    return table.get(name, {}) if isinstance(name, str) else {}
