"""A model's control tokens as text: finding them, and taking their meaning from them inside message content. Pure."""

import re
from collections.abc import Iterable

# Invisible, no white space, and in no tokenizer's control token: with it inside, a token's text is ordinary text.
_WORD_JOINER = "\u2060"


class ControlTokens:
    """The texts that a tokenizer reads as control tokens wherever they stand.

    Args:
        tokens: A token of one character is left alone: it cannot be broken up, and no tokenizer has one.
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        usable = {token for token in tokens if len(token) > 1}
        self._pattern = re.compile(_any_of(usable)) if usable else None

    def at_start(self, text: str) -> str:
        """Return the control token that `text` starts with, or nothing."""
        match = self._pattern.match(text) if self._pattern else None
        return match[0] if match else ""

    def break_up(self, text: str) -> str:
        """Take the meaning from every control token in `text`; what a reader sees stays the same.

        Tokens may overlap, so breaking one up can leave another: it is repeated until none is left. It ends, because
        each pass parts neighbours that no pass has parted before.
        """
        if self._pattern is None:
            return text
        while self._pattern.search(text):
            text = self._pattern.sub(lambda match: match[0][0] + _WORD_JOINER + match[0][1:], text)
        return text


class _Node:
    """Of the tree of all tokens, character by character."""

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.ends_token = False

    def pattern(self) -> str:
        branches = [re.escape(character) + child.pattern() for character, child in self.children.items()]
        if not branches:
            return ""
        return f"(?:{'|'.join(branches)})" + ("?" if self.ends_token else "")


def _any_of(tokens: Iterable[str]) -> str:
    """Build a pattern for the longest of `tokens`.

    A tree and not a list of alternatives: models have over a thousand control tokens with one beginning, and a list
    is tried one by one wherever that beginning stands.
    """
    root = _Node()
    for token in sorted(tokens):
        node = root
        for character in token:
            node = node.children.setdefault(character, _Node())
        node.ends_token = True
    return root.pattern()
