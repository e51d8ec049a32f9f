"""What a model is, as far as an engine's habits depend on it; read from its published `config.json`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scout_deploy.fit.class_defaults import text_part


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """Facts of one checkpoint; None where they are not known.

    Args:
        architecture: `model_type` of its config, such as `llama4`.
        quantization: `quant_method` of its config, such as `compressed-tensors`.
        quantization_format: What that method did, such as `pack-quantized` or `float-quantized`.
        attention_heads: Query heads of the text model; a shard count has to divide them.
        kv_heads: Key and value heads of the text model.
        max_position_embeddings: Longest sequence that the config names, in tokens.
        numbers: Whole numbers at the config's top level, by name, for an engine that computes with some of them.
        code: Python files that the config names as the model's own code (`auto_map`).
    """

    architecture: str | None = None
    quantization: str | None = None
    quantization_format: str | None = None
    attention_heads: int | None = None
    kv_heads: int | None = None
    max_position_embeddings: int | None = None
    is_multimodal: bool = False
    numbers: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)
    code: tuple[str, ...] = ()


def facts_of_config(config: Mapping[str, Any]) -> ModelFacts:
    """Read the facts from a `config.json`; what is missing or of another type stays None."""
    text = text_part(config)
    # The second is an older name of it, which engines still read (TGI 3.3.7: models/__init__.py get_model).
    places = (config.get("quantization_config"), config.get("compression_config"), text.get("quantization_config"))
    quantization = next((place for place in places if isinstance(place, dict)), {})
    heads = _integer(text.get("num_attention_heads"))
    return ModelFacts(
        architecture=_text(config.get("model_type")),
        quantization=_text(quantization.get("quant_method")),
        quantization_format=_text(quantization.get("format")),
        attention_heads=heads,
        kv_heads=_integer(text.get("num_key_value_heads")) or heads,
        max_position_embeddings=_integer(text.get("max_position_embeddings")),
        is_multimodal="vision_config" in config,
        numbers={name: value for name, value in config.items() if _integer(value) is not None},
        code=code_of_config(config),
    )


def code_of_config(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the Python files that a config names as the model's own code; it may lie in another repository (`--`)."""
    named = config.get("auto_map")
    classes = (one for value in (named.values() if isinstance(named, dict) else ()) for one in _several(value))
    modules = {one.rpartition("--")[2].partition(".")[0] for one in classes}
    return tuple(sorted(f"{module}.py" for module in modules))


def _several(value: object) -> tuple[str, ...]:
    # Of a tokenizer there are two, the slow and the fast one; either may be null.
    given = value if isinstance(value, list) else [value]
    return tuple(one for one in given if isinstance(one, str) and one)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
