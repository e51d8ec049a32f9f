"""Text and documents to token ids and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as PreTokenizers

from demo_model.document import LEARNT_ROLES, Document, Message, Role
from demo_model.special_tokens import (
    AFTER_HEADER,
    BEGIN_OF_TEXT,
    END_OF_TEXT,
    END_OF_TURN,
    HEADER_END,
    HEADER_START,
    SPECIAL_TOKENS,
)
from demo_model.vocabulary import SPLIT_PATTERN, Vocabulary

UNPRINTABLE_OFFSET: Final = 256


def byte_letters() -> dict[int, str]:
    """Return GPT-2's letter for each byte: printable ones stand for themselves, the others follow from U+0100."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [value for value in range(256) if value not in printable]
    letters = {value: chr(value) for value in printable}
    return letters | {value: chr(UNPRINTABLE_OFFSET + number) for number, value in enumerate(others)}


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A document's tokens, and for each of them whether the loss counts it."""

    tokens: list[int]
    learnt: list[bool]


class DemoTokenizer:
    """Byte-level BPE with Llama 4's special tokens after the ordinary ones."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        letters = byte_letters()
        self.words = ["".join(letters[value] for value in token) for token in vocabulary.tokens]
        self.merges = [(self.words[left], self.words[right]) for left, right in vocabulary.merges]
        self.bytes = [*vocabulary.tokens, *(b"" for _ in SPECIAL_TOKENS)]
        self.special = {token: len(self.words) + number for number, token in enumerate(SPECIAL_TOKENS)}
        self.engine = Tokenizer(BPE(vocab={word: number for number, word in enumerate(self.words)}, merges=self.merges))
        self.engine.pre_tokenizer = PreTokenizers(
            [Split(Regex(SPLIT_PATTERN), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)]
        )

    def __len__(self) -> int:
        return len(self.bytes)

    def encode(self, text: str) -> list[int]:
        """Return the ids of ordinary text; nothing in it is taken for a special token."""
        ids: list[int] = self.engine.encode(text).ids
        return ids

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of the tokens; special ones are left out, broken UTF-8 becomes U+FFFD."""
        return b"".join(self.bytes[token] for token in tokens).decode(errors="replace")

    def encode_message(self, message: Message) -> Encoded:
        """Return a turn as the chat template writes it."""
        header = [self.special[HEADER_START], *self.encode(message.role), self.special[HEADER_END]]
        header += self.encode(AFTER_HEADER)
        body = [*self.encode(message.content.strip()), self.special[END_OF_TURN]]
        learns = message.role in LEARNT_ROLES
        return Encoded(tokens=header + body, learnt=[False] * len(header) + [learns] * len(body))

    def encode_document(self, document: Document) -> Encoded:
        """Return the document with its begin token and, for plain text, its end token."""
        tokens = [self.special[BEGIN_OF_TEXT]]
        learnt = [False]
        for message in document.messages:
            if message.role == Role.TEXT:
                body = [*self.encode(message.content), self.special[END_OF_TEXT]]
                encoded = Encoded(tokens=body, learnt=[True] * len(body))
            else:
                encoded = self.encode_message(message)
            tokens += encoded.tokens
            learnt += encoded.learnt
        return Encoded(tokens=tokens, learnt=learnt)

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return a conversation that waits for the assistant's answer."""
        tokens = [self.special[BEGIN_OF_TEXT]]
        for message in messages:
            tokens += self.encode_message(message).tokens
        tokens += [self.special[HEADER_START], *self.encode(Role.ASSISTANT), self.special[HEADER_END]]
        return tokens + self.encode(AFTER_HEADER)
