"""Documents to rows of equal length."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

from demo_model.tokenizer import Encoded

NO_DOCUMENT: Final = -1


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Packed text, (rows, length + 1): each token is the input at its place and the target of the place before.

    Attributes:
        tokens: Ids; 0 where nothing is.
        learnt: True where the loss counts the token as a target.
        owner: Number of the token's document within its row, -1 where nothing is.
    """

    tokens: NDArray[np.int64]
    learnt: NDArray[np.bool_]
    owner: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.tokens)


def pieces(document: Encoded, width: int) -> Iterator[Encoded]:
    """Cut a long document into pieces that share one token, so that every token but the first is a target once."""
    for start in range(0, max(len(document.tokens) - 1, 1), width - 1):
        end = start + width
        yield Encoded(tokens=document.tokens[start:end], learnt=document.learnt[start:end])


def filled(pieces_of_all: Iterable[Encoded], width: int) -> Iterator[list[Encoded]]:
    """Fill rows with pieces in their order; a piece that does not fit any more begins the next row."""
    row: list[Encoded] = []
    room = width
    for piece in pieces_of_all:
        if len(piece.tokens) > room and row:
            yield row
            row, room = [], width
        row.append(piece)
        room -= len(piece.tokens)
    if row:
        yield row


def pack(documents: Sequence[Encoded], length: int) -> Rows:
    """Return the documents as rows of length + 1 tokens."""
    width = length + 1
    rows = list(filled(chain.from_iterable(pieces(document, width) for document in documents), width))
    tokens = np.zeros((len(rows), width), dtype=np.int64)
    learnt = np.zeros((len(rows), width), dtype=np.bool_)
    owner = np.full((len(rows), width), NO_DOCUMENT, dtype=np.int64)
    for number, row in enumerate(rows):
        start = 0
        for place, piece in enumerate(row):
            end = start + len(piece.tokens)
            tokens[number, start:end] = piece.tokens
            learnt[number, start:end] = piece.learnt
            learnt[number, start] = False
            owner[number, start:end] = place
            start = end
    return Rows(tokens=tokens, learnt=learnt, owner=owner)
