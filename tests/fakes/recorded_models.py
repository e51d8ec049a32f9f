"""Published models as small files of `tests/data/models`, and checkpoints made up of headers alone."""

import json
from collections.abc import Mapping
from pathlib import Path

from scout_deploy.fit.model import FitModel, model_of_record
from scout_deploy.fit.tensor import DTYPE_BITS
from scout_deploy.known_models import known_model

FOLDER = Path(__file__).parents[1] / "data/models"

SCOUT = "meta-llama/Llama-4-Scout-17B-16E-Instruct"
SCOUT_FP8 = "RedHatAI/Llama-4-Scout-17B-16E-Instruct-FP8-dynamic"
SCOUT_W4A16 = "RedHatAI/Llama-4-Scout-17B-16E-Instruct-quantized.w4a16"

TINY_CONFIG: dict[str, object] = {
    "model_type": "llama",
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "vocab_size": 256,
    "max_position_embeddings": 2048,
}
TINY_TENSORS: dict[str, tuple[str, list[int]]] = {
    "model.embed_tokens.weight": ("BF16", [256, 64]),
    "model.layers.0.mlp.up_proj.weight": ("BF16", [128, 64]),
    "model.norm.weight": ("F32", [64]),
}


def recorded(name: str) -> FitModel:
    """Return a model by its id, of those that ship, or by its file's name."""
    if (known := known_model(name)) is not None:
        return known
    return model_of_record(json.loads((FOLDER / f"{name}.json").read_bytes()), "recorded for the tests")


def safetensors(tensors: Mapping[str, tuple[str, list[int]]]) -> bytes:
    """Return a file with these tensors, all zero."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, shape) in tensors.items():
        begin, size = end, DTYPE_BITS[dtype] // 8
        for one in shape:
            size *= one
        end = begin + size
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(end)
