"""Held-out cross-entropy of the model and of what knows nothing, in nats per token."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from demo_model.document import Kind
from demo_model.network import Network
from demo_model.packing import Rows
from demo_model.training import summed_loss

ROWS_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True)
class HeldOutScore:
    """Cross-entropies on the held-out documents of one kind, nats per token.

    Attributes:
        tokens: Targets that were counted (the learnt ones, as in training).
        characters: Of the text that these tokens spell.
        q8_0: The model's with its matrices rounded to q8_0.
        unigram: Of the token frequencies in the training text of the same kind, each count one higher.
    """

    kind: Kind
    tokens: int
    characters: int
    model: float
    q8_0: float
    unigram: float
    uniform: float

    @property
    def bits_per_character(self) -> float:
        """The model's cross-entropy in a unit that doesn't depend on the vocabulary."""
        return self.model * self.tokens / self.characters / math.log(2)


@torch.no_grad()
def model_loss(network: Network, rows: Rows) -> tuple[float, int]:
    """Return the mean cross-entropy in f32 and the count of targets."""
    total, count = 0.0, 0
    for start in range(0, len(rows), ROWS_AT_ONCE):
        chosen = np.arange(start, min(start + ROWS_AT_ONCE, len(rows)))
        loss, targets, _ = summed_loss(network, rows, chosen)
        total += float(loss)
        count += targets
    return total / count, count


def targets(rows: Rows) -> np.ndarray:
    """Return the learnt tokens of the rows."""
    return rows.tokens[rows.learnt]


def unigram_loss(training: Rows, held_out: Rows, vocabulary: int) -> float:
    """Return the cross-entropy of the training text's token frequencies on the held-out text."""
    counts = np.bincount(targets(training), minlength=vocabulary) + 1
    return float(-np.log(counts / counts.sum())[targets(held_out)].mean())


def score(
    network: Network,
    small: Network,
    training: Mapping[Kind, Rows],
    held_out: Mapping[Kind, Rows],
    lengths: np.ndarray,
) -> list[HeldOutScore]:
    """Return one score for each kind that has held-out documents.

    Args:
        network: To be measured.
        small: The same with rounded matrices.
        training: Packed training rows of each kind.
        held_out: Packed held-out rows of each kind.
        lengths: Characters that each token of the vocabulary spells (parts of a character count as fractions).
    """
    scores = []
    for kind, rows in held_out.items():
        loss, tokens = model_loss(network, rows)
        vocabulary = network.shape.vocabulary
        scores.append(
            HeldOutScore(
                kind=kind,
                tokens=tokens,
                characters=max(1, round(float(lengths[targets(rows)].sum()))),
                model=loss,
                q8_0=model_loss(small, rows)[0],
                unigram=unigram_loss(training[kind], rows, vocabulary),
                uniform=math.log(vocabulary),
            )
        )
    return scores
