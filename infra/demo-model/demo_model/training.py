"""Train the network on packed rows for a given time on the CPU."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from demo_model.document import Kind
from demo_model.network import Network
from demo_model.packing import Rows

CHECKPOINT_EVERY_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train.

    Attributes:
        minutes: The learning rate falls over this time; training ends with it.
        steps: Ends training earlier and makes the learning rate depend on the step alone (a repeatable run); 0 means by
            time.
        batch_rows: Rows in a step.
        warmup_steps: Steps of rising learning rate.
        evenness_weight: Of the loss that keeps the experts evenly used.
        label_smoothing: Keeps the model from being sure of what it only knows from a template.
    """

    minutes: float
    steps: int
    threads: int
    seed: int
    batch_rows: int = 16
    matrix_rate: float = 4e-3
    other_rate: float = 3e-3
    weight_decay: float = 0.05
    warmup_steps: int = 40
    evenness_weight: float = 0.01
    label_smoothing: float = 0.05


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What training has done."""

    steps: int
    tokens: int
    seconds: float
    loss: float


def visibility(owner: Tensor) -> Tensor:
    """Return the attention mask (batch, 1, length, length): causal, and within one document."""
    length = owner.shape[1]
    same = owner[:, :, None] == owner[:, None, :]
    return (same & torch.ones(length, length, dtype=torch.bool).tril())[:, None]


def batch_of(rows: Rows, chosen: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """Return inputs, attention mask and targets (-100 where not learnt)."""
    tokens = torch.from_numpy(rows.tokens[chosen])
    owner = torch.from_numpy(rows.owner[chosen])
    counted = torch.from_numpy(rows.learnt[chosen])[:, 1:] & (owner[:, 1:] == owner[:, :-1])
    targets = torch.where(counted, tokens[:, 1:], -100)
    return tokens[:, :-1], visibility(owner[:, :-1]), targets


def summed_loss(
    network: Network, rows: Rows, chosen: np.ndarray, label_smoothing: float = 0.0
) -> tuple[Tensor, int, Tensor]:
    """Return the summed cross-entropy of the learnt tokens, their count, and the experts' unevenness."""
    inputs, mask, targets = batch_of(rows, chosen)
    hidden, unevenness = network(inputs, mask)
    counted = targets != -100
    logits = network.logits(hidden[counted]).float()
    loss = functional.cross_entropy(logits, targets[counted], reduction="sum", label_smoothing=label_smoothing)
    return loss, int(counted.sum()), unevenness


class Mixture:
    """Draws rows: each kind by its share, each kind's rows in shuffled rounds."""

    def __init__(self, rows: Mapping[Kind, Rows], shares: Mapping[Kind, float], seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.kinds = [kind for kind in rows if len(rows[kind])]
        self.starts = dict(zip(self.kinds, np.cumsum([0] + [len(rows[kind]) for kind in self.kinds]), strict=False))
        self.counts = {kind: len(rows[kind]) for kind in self.kinds}
        weights = np.array([shares[kind] for kind in self.kinds])
        self.weights = weights / weights.sum()
        self.orders = {kind: self.rounds(kind) for kind in self.kinds}

    def rounds(self, kind: Kind) -> Iterator[int]:
        """Yield the kind's rows for ever, each once in every round."""
        while True:
            yield from self.random.permutation(self.counts[kind]) + self.starts[kind]

    def draw(self, count: int) -> np.ndarray:
        """Return the numbers of `count` rows."""
        kinds = self.random.choice(len(self.kinds), size=count, p=self.weights)
        return np.array([next(self.orders[self.kinds[kind]]) for kind in kinds])


def joined(rows: Mapping[Kind, Rows]) -> Rows:
    """Return the rows of all kinds, in the mapping's order."""
    present = [part for part in rows.values() if len(part)]
    return Rows(
        tokens=np.concatenate([part.tokens for part in present]),
        learnt=np.concatenate([part.learnt for part in present]),
        owner=np.concatenate([part.owner for part in present]),
    )


def optimizers(network: Network, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices inside the layers and AdamW for the embedding, the routers and the norms."""
    named = list(network.named_parameters())
    matrices = [
        weight for name, weight in named if weight.dim() == 2 and "embedding" not in name and "router" not in name
    ]
    inside = {id(weight) for weight in matrices}
    others = [weight for _, weight in named if id(weight) not in inside]
    return [
        torch.optim.Muon(
            matrices, lr=recipe.matrix_rate, weight_decay=recipe.weight_decay, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(others, lr=recipe.other_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def rate_factor(step: int, done: float, recipe: Recipe) -> float:
    """Return the factor of the learning rate: a linear rise, then half a cosine down to nearly nothing."""
    rise = min(1.0, (step + 1) / recipe.warmup_steps)
    return rise * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


class Trainer:
    """Runs the steps and keeps a checkpoint."""

    def __init__(self, network: Network, recipe: Recipe, checkpoint: Path) -> None:
        self.network = network
        self.recipe = recipe
        self.checkpoint = checkpoint
        self.optimizers = optimizers(network, recipe)
        self.rates = [optimizer.param_groups[0]["lr"] for optimizer in self.optimizers]

    def step(self, rows: Rows, chosen: np.ndarray, factor: float) -> tuple[float, int]:
        """Do one step; return the mean loss and the count of learnt tokens."""
        for optimizer, rate in zip(self.optimizers, self.rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * factor
            optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            total, count, unevenness = summed_loss(self.network, rows, chosen, self.recipe.label_smoothing)
        mean = total / max(count, 1)
        torch.autograd.backward(mean + self.recipe.evenness_weight * unevenness)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        return float(mean.detach()), count

    def done(self, step: int, seconds: float) -> float:
        """Return the part of the training that is behind, 0 to 1 and over."""
        by_time = seconds / (self.recipe.minutes * 60)
        if not self.recipe.steps:
            return by_time
        return 1.0 if by_time >= 1 else step / self.recipe.steps

    def train(
        self, parts: Mapping[Kind, Rows], shares: Mapping[Kind, float], report: Callable[[str], None]
    ) -> Progress:
        """Train until the recipe's end and leave the last checkpoint."""
        rows = joined(parts)
        mixture = Mixture(parts, shares, self.recipe.seed)
        started = saved = time.monotonic()
        step, tokens, smooth = 0, 0, 0.0
        while (done := self.done(step, time.monotonic() - started)) < 1:
            chosen = mixture.draw(self.recipe.batch_rows)
            loss, count = self.step(rows, chosen, rate_factor(step, done, self.recipe))
            step += 1
            tokens += count
            smooth = loss if step == 1 else 0.97 * smooth + 0.03 * loss
            if step % 50 == 0:
                report(f"step {step}, {tokens:,} learnt tokens, {time.monotonic() - started:.0f} s, loss {smooth:.3f}")
            if time.monotonic() - saved > CHECKPOINT_EVERY_S:
                self.save()
                saved = time.monotonic()
        self.save()
        return Progress(steps=step, tokens=tokens, seconds=time.monotonic() - started, loss=smooth)

    def save(self) -> None:
        """Write the weights; a reader never sees half a file."""
        unfinished = self.checkpoint.with_suffix(".part")
        torch.save(self.network.state_dict(), unfinished)
        unfinished.replace(self.checkpoint)
