"""The model's tokens: their bytes, their text, which are special, and which tokens made a given text."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from scout_engine.gguf import GgufMetadata

# Token types of llama.cpp's include/llama.h, enum llama_token_type.
_UNKNOWN, _CONTROL, _USER_DEFINED, _BYTE = 2, 3, 4, 6
_VERBATIM = (_UNKNOWN, _CONTROL, _USER_DEFINED)


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Tokens by id.

    Attributes:
        pieces: The bytes that each token stands for; a special token's are those of its name.
        special: Ids of control tokens, which are never part of a generated text.
        ids: The id of each piece that is not special.
    """

    pieces: Sequence[bytes]
    special: frozenset[int]
    ids: Mapping[bytes, int]
    bos: int | None
    eos: int | None
    filler: int

    def text(self, token: int) -> str:
        """What to show for `token`; bytes that are no whole character become U+FFFD."""
        return self.pieces[token].decode("utf-8", "replace") if 0 <= token < len(self.pieces) else ""

    def name(self, token: int | None) -> str:
        """The name of a special token, empty for None."""
        return "" if token is None else self.text(token)

    def split(self, text: bytes, last: int, count: int) -> list[int] | None:
        """Return the `count` tokens that make `text`, the last of which is `last`.

        llama.cpp reports one token for a character that took several. Where more than one split exists, the one with
        the longest pieces first is taken; None means that none does.
        """
        ending = self.pieces[last]
        if not text.endswith(ending):
            return None
        head = self._split_head(text[: len(text) - len(ending)], count - 1)
        return None if head is None else [*head, last]

    def _split_head(self, text: bytes, count: int) -> list[int] | None:
        if count == 0:
            return [] if not text else None
        for length in range(len(text) - count + 1, 0, -1):
            token = self.ids.get(text[:length])
            rest = None if token is None else self._split_head(text[length:], count - 1)
            if token is not None and rest is not None:
                return [token, *rest]
        return None

    def offsets(self, tokens: Sequence[int], text: bytes) -> Iterator[tuple[int, int]]:
        """Yield where each token begins and ends in `text`, in bytes; one that the tokenizer added takes no room."""
        at = 0
        for token in tokens:
            piece = self.pieces[token]
            begin = at
            # SentencePiece puts a space before the text that is not in it.
            for candidate in (piece, piece.removeprefix(b" ")):
                if candidate and text.startswith(candidate, at):
                    at += len(candidate)
                    break
            yield begin, at


def read_vocabulary(metadata: GgufMetadata) -> Vocabulary:
    """Build the vocabulary out of a model's `tokenizer.ggml.*` metadata."""
    names = [str(name) for name in metadata.array("tokenizer.ggml.tokens")]
    types = metadata.array("tokenizer.ggml.token_type") or [1] * len(names)
    decode = _decode_byte_level if metadata.text("tokenizer.ggml.model") == "gpt2" else _decode_sentencepiece
    pieces = [_piece(name, kind, decode) for name, kind in zip(names, types, strict=False)]
    special = frozenset(token for token, kind in enumerate(types) if kind == _CONTROL)
    eos = metadata.whole("tokenizer.ggml.eos_token_id")
    return Vocabulary(
        pieces=pieces,
        special=special,
        ids={piece: token for token, piece in enumerate(pieces) if token not in special},
        bos=metadata.whole("tokenizer.ggml.bos_token_id"),
        eos=eos,
        filler=next((i for i in (metadata.whole("tokenizer.ggml.unknown_token_id"), eos) if i is not None), 0),
    )


def _piece(name: str, kind: object, decode: Callable[[str], bytes]) -> bytes:
    raw = name.encode("utf-8", "surrogateescape")
    if kind in _VERBATIM:
        return raw
    if kind == _BYTE and name.startswith("<0x"):
        return bytes([int(name[3:-1], 16)])
    return decode(name)


def _decode_sentencepiece(name: str) -> bytes:
    return name.replace("\u2581", " ").encode("utf-8", "surrogateescape")


def _decode_byte_level(name: str) -> bytes:
    table = _byte_of_character()
    try:
        return bytes([table[character] for character in name])
    except KeyError:
        return name.encode("utf-8", "surrogateescape")


@functools.cache
def _byte_of_character() -> Mapping[str, int]:
    """GPT-2's printable stand-ins for bytes: printable Latin-1 is itself, the others follow from U+0100 in order."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable}
    return table | {chr(0x100 + index): byte for index, byte in enumerate(others)}
