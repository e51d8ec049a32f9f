"""Writes GGUF files as small as a test needs them, by the specification and by nothing of the product's."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

_ALIGNMENT = 32
F32, Q8_0 = 0, 8
_BLOCK_BYTES = {F32: (1, 4), Q8_0: (32, 34)}


def gguf_bytes(
    metadata: Mapping[str, object],
    tensors: Mapping[str, tuple[Sequence[int], int]],
    *,
    version: int = 3,
) -> bytes:
    """Return a whole file.

    Args:
        metadata: Texts, truth values, whole numbers (as uint32), floats, lists of texts or of whole numbers (as int32).
        tensors: Dimensions and storage type by name; their data is zeros.
    """
    head = bytearray(b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata)))
    for key, value in metadata.items():
        head += _text(key) + _value(value)
    offset = 0
    for name, (dimensions, kind) in tensors.items():
        head += _text(name) + struct.pack(f"<I{len(dimensions)}QIQ", len(dimensions), *dimensions, kind, offset)
        block, size = _BLOCK_BYTES.get(kind, (1, 1))
        elements = 1
        for dimension in dimensions:
            elements *= dimension
        offset += -(-(elements // block * size) // _ALIGNMENT) * _ALIGNMENT
    head += bytes(-len(head) % _ALIGNMENT)
    return bytes(head) + bytes(offset)


def write_tiny_model(path: Path, extra: Mapping[str, object] | None = None) -> Path:
    """Write a file that looks like a small chat model."""
    path.write_bytes(gguf_bytes({**TINY_METADATA, **(extra or {})}, TINY_TENSORS))
    return path


TINY_METADATA: Mapping[str, object] = {
    "general.architecture": "llama4",
    "general.name": "tiny",
    "general.file_type": 7,
    "llama4.context_length": 8192,
    "llama4.block_count": 2,
    "llama4.rope.freq_base": 500000.0,
    "tokenizer.ggml.tokens": ["a", "b", "<|begin|>", "<|eot|>", "<tool>", "\n\n", "<|eot|>extra"],
    "tokenizer.ggml.token_type": [1, 1, 3, 3, 4, 4, 3],
    "tokenizer.ggml.bos_token_id": 2,
    "tokenizer.ggml.eos_token_id": 3,
    "tokenizer.ggml.add_bos_token": True,
    "tokenizer.chat_template": "{{ bos_token }}<tool>\n\n你好",
}
TINY_TENSORS: Mapping[str, tuple[Sequence[int], int]] = {"w": ((64, 10), Q8_0), "norm": ((64,), F32)}


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _value(value: object) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    if isinstance(value, list) and value and isinstance(value[0], int):
        return struct.pack(f"<IIQ{len(value)}i", 9, 5, len(value), *value)
    if isinstance(value, list):
        return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_text, value))
    raise TypeError(f"no GGUF type for {value!r}")
