"""The tokens in a GGUF file's header that steer the model, and its metadata by kind."""

from collections.abc import Mapping
from dataclasses import dataclass
from mmap import mmap
from typing import TypeAlias

from scout_deploy.gguf.header import ArrayAt, MetadataScalar, read_numbers, read_strings

Metadata: TypeAlias = Mapping[str, MetadataScalar | ArrayAt]

TEMPLATE_KEY = "tokenizer.chat_template"

# llama.cpp's llama_token_type.
_CONTROL, _USER_DEFINED = 3, 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Vocabulary:
    """The tokens that steer a model; `GgufFacts` says what each field is."""

    bos_token_id: int | None
    bos_token: str | None
    eos_token_id: int | None
    eos_token: str | None
    adds_bos: bool | None
    special_tokens: tuple[str, ...]
    size: int | None


def read_vocabulary(data: bytes | mmap, metadata: Metadata) -> Vocabulary:
    """Pick the tokens that matter out of a header's token lists, which may hold hundreds of thousands."""
    tokens = metadata.get("tokenizer.ggml.tokens")
    kinds = metadata.get("tokenizer.ggml.token_type")
    types = read_numbers(data, kinds) if isinstance(kinds, ArrayAt) else ()
    steering = {index: kind for index, kind in enumerate(types) if kind in (_CONTROL, _USER_DEFINED)}
    bos, eos = (
        whole_number(metadata, "tokenizer.ggml.bos_token_id"),
        whole_number(metadata, "tokenizer.ggml.eos_token_id"),
    )
    wanted = [*steering, *(index for index in (bos, eos) if index is not None)]
    texts = read_strings(data, tokens, wanted) if isinstance(tokens, ArrayAt) else {}
    template = text_of(metadata, TEMPLATE_KEY) or ""
    special = {
        text
        for index, kind in steering.items()
        if (text := texts.get(index, "")).strip() and (kind == _CONTROL or text in template)
    }
    adds_bos = metadata.get("tokenizer.ggml.add_bos_token")
    return Vocabulary(
        bos_token_id=bos,
        bos_token=None if bos is None else texts.get(bos),
        eos_token_id=eos,
        eos_token=None if eos is None else texts.get(eos),
        adds_bos=adds_bos if isinstance(adds_bos, bool) else None,
        special_tokens=tuple(sorted(special, key=lambda text: (-len(text), text))),
        size=tokens.count if isinstance(tokens, ArrayAt) else None,
    )


def whole_number(metadata: Metadata, key: str) -> int | None:
    """Return a key's whole number; None where it is missing or of another kind."""
    value = metadata.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def text_of(metadata: Metadata, key: str) -> str | None:
    """Return a key's text; None where it is missing or of another kind."""
    value = metadata.get(key)
    return value if isinstance(value, str) else None
