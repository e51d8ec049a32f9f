"""Learn a byte-level BPE vocabulary in which chosen characters always are one token.

Why not an off-the-shelf trainer: with 4096 tokens and mostly English text it leaves all but a few Chinese characters
split into bytes, and the model then spends its strength on spelling UTF-8. Merges for those characters come first here.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import regex

SPLIT_PATTERN: Final = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Llama 4's pre-tokeniser (llama.cpp: `llama4`, the same as GPT-4o's)."""

LONGEST_CHINESE_TOKEN: Final = 2
FIRST_CHINESE_MARK: Final = "\u3000"

Pair = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Ordinary tokens as bytes, by id, and the merges that make them, most important first."""

    tokens: tuple[bytes, ...]
    merges: tuple[Pair, ...]


class Learner:
    """Grows a vocabulary by one merge at a time over a weighted set of words."""

    def __init__(self, words: Mapping[bytes, int]) -> None:
        self.tokens = [bytes([value]) for value in range(256)]
        self.ids = {token: number for number, token in enumerate(self.tokens)}
        self.merges: list[Pair] = []
        self.words = [list(word) for word in words]
        self.weights = list(words.values())

    def add_merge(self, pair: Pair) -> int:
        """Record the merge and return the id of its token."""
        token = self.tokens[pair[0]] + self.tokens[pair[1]]
        self.merges.append(pair)
        self.tokens.append(token)
        self.ids[token] = len(self.tokens) - 1
        return self.ids[token]

    def add_character(self, character: str) -> None:
        """Make the character one token, by merging its bytes from the left."""
        encoded = character.encode()
        for end in range(2, len(encoded) + 1):
            if encoded[:end] not in self.ids:
                self.add_merge((self.ids[encoded[: end - 1]], encoded[end - 1]))

    def apply_recorded_merges(self) -> None:
        """Rewrite the words with the merges so far."""
        ranks = {pair: 256 + number for number, pair in enumerate(self.merges)}
        for word in self.words:
            while True:
                found = [(ranks[pair], pair) for pair in pairwise(word) if pair in ranks]
                if not found:
                    break
                token, pair = min(found)
                word[:] = merged(word, pair, token)

    def learn(self, size: int) -> None:
        """Add the most frequent pair's token again and again until there are `size` tokens or no pair is left."""
        weights: dict[Pair, int] = defaultdict(int)
        places: dict[Pair, set[int]] = defaultdict(set)
        for number, word in enumerate(self.words):
            for pair in pairwise(word):
                weights[pair] += self.weights[number]
                places[pair].add(number)
        queue = [(-weight, pair) for pair, weight in weights.items()]
        heapq.heapify(queue)
        while queue and len(self.tokens) < size:
            weight, pair = heapq.heappop(queue)
            if weights[pair] != -weight or weights[pair] <= 0:
                continue
            joined = self.tokens[pair[0]] + self.tokens[pair[1]]
            if joined in self.ids or is_long_chinese(joined):
                continue
            token = self.add_merge(pair)
            for changed in self.merge_everywhere(pair, token, weights, places):
                heapq.heappush(queue, (-weights[changed], changed))

    def merge_everywhere(
        self, pair: Pair, token: int, weights: dict[Pair, int], places: dict[Pair, set[int]]
    ) -> set[Pair]:
        """Merge the pair in all words that have it, keep the counts right, and return the pairs whose count changed."""
        changed: set[Pair] = set()
        for number in places.pop(pair, set()):
            word = self.words[number]
            new = merged(word, pair, token)
            for sign, sequence in ((-1, word), (1, new)):
                for neighbour in pairwise(sequence):
                    weights[neighbour] += sign * self.weights[number]
                    changed.add(neighbour)
                    if sign > 0:
                        places[neighbour].add(number)
            self.words[number] = new
        changed.discard(pair)
        return changed


def is_long_chinese(token: bytes) -> bool:
    """Say whether the token spells more than two characters with a Chinese one (or a full-width mark) among them.

    Chinese has no spaces, so whole phrases of the templates would become tokens, and other text would be spelt in
    pieces that the model has hardly seen.
    """
    text = token.decode(errors="ignore")
    return len(text) > LONGEST_CHINESE_TOKEN and any(character >= FIRST_CHINESE_MARK for character in text)


def merged(word: list[int], pair: Pair, token: int) -> list[int]:
    """Return the word with each occurrence of the pair replaced by the token, from the left."""
    result: list[int] = []
    position = 0
    while position < len(word):
        if position + 1 < len(word) and (word[position], word[position + 1]) == pair:
            result.append(token)
            position += 2
        else:
            result.append(word[position])
            position += 1
    return result


def count_words(texts: Iterable[tuple[str, int]]) -> Counter[bytes]:
    """Count the pre-tokeniser's words in weighted texts."""
    split = regex.compile(SPLIT_PATTERN)
    counts: Counter[bytes] = Counter()
    for text, weight in texts:
        for word in split.findall(text):
            counts[word.encode()] += weight
    return counts


def learn_vocabulary(texts: Iterable[tuple[str, int]], characters: Iterable[str], size: int) -> Vocabulary:
    """Return a vocabulary of `size` ordinary tokens, with each of the characters among them.

    Args:
        texts: Text and its weight.
        characters: Become tokens first, in this order.
        size: Tokens in all, the 256 bytes included.
    """
    learner = Learner(count_words(texts))
    for character in characters:
        learner.add_character(character)
    learner.apply_recorded_merges()
    learner.learn(size)
    return Vocabulary(tokens=tuple(learner.tokens), merges=tuple(learner.merges))
