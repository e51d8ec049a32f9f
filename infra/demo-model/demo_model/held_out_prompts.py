"""Keep the prompts of tests and documents out of the training text, near copies included."""

import re
from collections.abc import Iterable
from pathlib import Path

from demo_model.document import Document, Role
from demo_model.written_text import CorpusError

GRAM = 3
"""Characters in a gram; short enough for Chinese."""

NEAR_COPY_SHARE = 0.75
"""A turn that has this share of a prompt's grams is a near copy of it."""

SHORTEST_NEAR_COPY = 8
"""Below this many characters only an exact copy counts: almost any sentence has the grams of a very short prompt."""

_NEITHER_LETTER_NOR_DIGIT = re.compile(r"[\W_]+")


def normalised(text: str) -> str:
    """Return the letters and digits of the text in lower case: spaces and punctuation don't make a prompt new."""
    return _NEITHER_LETTER_NOR_DIGIT.sub("", text.casefold())


def grams(text: str) -> frozenset[str]:
    """Return the runs of `GRAM` characters."""
    return frozenset(text[start : start + GRAM] for start in range(len(text) - GRAM + 1))


def read_prompts(path: Path) -> list[str]:
    """Return the prompts of a list file, one a line; lines that begin with # are comments."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


class HeldOutPrompts:
    """The prompts to keep out, ready for many comparisons."""

    def __init__(self, prompts: Iterable[str]) -> None:
        self.prompts = {normalised(prompt): prompt for prompt in prompts if normalised(prompt)}
        self.grams = {key: grams(key) for key in self.prompts if len(key) >= SHORTEST_NEAR_COPY}
        self.all_grams = frozenset[str]().union(*self.grams.values())

    def found_in(self, document: Document) -> str | None:
        """Return the first prompt that the document holds; a near copy counts in the turns of a dialogue.

        Running text is compared for exact copies only: a long text has the grams of many a short prompt.
        """
        for message in document.messages:
            text = normalised(message.content)
            exact = next((prompt for key, prompt in self.prompts.items() if key in text), None)
            if exact is not None:
                return exact
            if message.role in (Role.SYSTEM, Role.USER):
                near = self.near_copy(text)
                if near is not None:
                    return near
        return None

    def near_copy(self, text: str) -> str | None:
        """Return the first prompt most of whose grams the normalised text has."""
        shared = grams(text) & self.all_grams
        for key, own in self.grams.items():
            if len(shared & own) >= NEAR_COPY_SHARE * len(own):
                return self.prompts[key]
        return None

    def check(self, documents: Iterable[Document]) -> int:
        """Check all training text, and return the number of documents.

        Raises:
            CorpusError: a document holds a prompt; the message names both.
        """
        count = 0
        for document in documents:
            count += 1
            prompt = self.found_in(document)
            if prompt is not None:
                raise CorpusError(
                    f"the training text {document.name!r} holds the held-out prompt {prompt!r} or nearly so: reword "
                    "the corpus file or the template that it comes from"
                )
        return count
