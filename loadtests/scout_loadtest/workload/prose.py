"""Plain text of our own from which prompts of any length are cut."""

from functools import cache
from pathlib import Path
from random import Random

# Of English prose; tokenizers differ by a fifth or so.
_TOKENS_PER_WORD = 1.3


def compose(random: Random, tokens: int) -> str:
    """Return running text of about this many tokens, from some place of the prose on."""
    words = _words()
    wanted = max(1, round(tokens / _TOKENS_PER_WORD))
    start = random.randrange(len(words))
    turns = -(-(start + wanted) // len(words))
    return " ".join((words * turns)[start : start + wanted])


@cache
def _words() -> tuple[str, ...]:
    return tuple(Path(__file__).with_name("prose.txt").read_text(encoding="utf-8").split())
