"""The build's log: what was done, on what, and how good the result is."""

import os
import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from demo_model.baselines import HeldOutScore
from demo_model.corpus import Corpus
from demo_model.document import Document
from demo_model.engine_check import SAMPLED_TOKENS, TEMPERATURE, Agreement, Sample
from demo_model.training import Progress, Recipe


class Log:
    """Lines for the terminal and the file at once; the file is new with each build."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_text("", encoding="utf-8")

    def __call__(self, line: str = "") -> None:
        """Add one line."""
        print(line, flush=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def machine_lines() -> Iterable[str]:
    """Say when and on what this runs."""
    yield f"date            {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    yield f"machine         {os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    yield f"Python          {platform.python_version()}"
    yield f"PyTorch         {torch.__version__}"


def corpus_lines(corpus: Corpus) -> Iterable[str]:
    """Say what the corpus is made of."""
    yield f"corpus sha256   {corpus.digest()}"
    yield f"{'kind':<19}{'documents':>11}{'characters':>13}{'held out':>10}{'characters':>13}"
    sides = [measured(corpus.training), measured(corpus.held_out)]
    for kind in sides[0][0]:
        figures = [side[part][kind] for side in sides for part in (0, 1)]
        yield f"{kind:<19}{figures[0]:>11,}{figures[1]:>13,}{figures[2]:>10,}{figures[3]:>13,}"


def measured(documents: Sequence[Document]) -> tuple[Counter[str], Counter[str]]:
    """Return documents and characters by kind."""
    count: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    for document in documents:
        count[document.kind] += 1
        characters[document.kind] += len(document.text)
    return count, characters


def training_lines(recipe: Recipe, progress: Progress) -> Iterable[str]:
    """Say how it was trained."""
    yield f"seed {recipe.seed}, {recipe.threads} thread(s), {recipe.batch_rows} rows in a step"
    yield f"{progress.steps} steps, {progress.tokens:,} learnt tokens, {progress.seconds / 60:.1f} minutes"
    yield f"running mean of the training loss at the end {progress.loss:.3f}"


def score_lines(scores: Sequence[HeldOutScore]) -> Iterable[str]:
    """Say the held-out cross-entropies."""
    yield f"{'kind':<19}{'tokens':>8}{'model':>8}{'q8_0':>8}{'unigram':>9}{'uniform':>9}{'bits/character':>16}"
    for score in scores:
        yield (
            f"{score.kind:<19}{score.tokens:>8,}{score.model:>8.3f}{score.q8_0:>8.3f}{score.unigram:>9.3f}{score.uniform:>9.3f}"
            f"{score.bits_per_character:>16.2f}"
        )


def agreement_lines(agreement: Agreement) -> Iterable[str]:
    """Say how far llama.cpp and PyTorch agree."""
    total = agreement.prompts
    yield f"greedy tokens from the f32 file equal PyTorch's   {agreement.f32} of {total} prompts"
    yield f"greedy tokens from the q8_0 file equal PyTorch's  {agreement.q8_0} of {total} prompts"
    yield f"PyTorch's greedy tokens kept by the q8_0 file      {agreement.q8_0_share:.1%}"
    texts = f"{agreement.same_tokens} of {agreement.texts} held-out texts"
    yield f"llama.cpp's tokens equal the trainer's            {texts}"
    yield f"the file's chat template gives training's prompt  {agreement.templates} conversations"


def sample_lines(samples: Sequence[Sample], seed: int) -> Iterable[str]:
    """Show the samples, each the first and only try."""
    yield f"temperature {TEMPERATURE}, seed {seed}, at most {SAMPLED_TOKENS} tokens, first and only try for each prompt"
    for sample in samples:
        end = "ended by itself" if sample.completion.ended else "cut at the limit"
        yield ""
        yield f">>> {sample.prompt.rstrip()}  [{end}, {len(sample.completion.tokens)} tokens]"
        yield from (f"    {line}".rstrip() for line in sample.completion.text.splitlines())
