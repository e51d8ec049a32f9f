"""Make the demonstration model: python build.py --out DIR.

Needs the packages of requirements.txt beside it, in an environment of their own, and a CPU. Writes into DIR the model
as scout-demo-f32.gguf and scout-demo-q8_0.gguf (the shipped one), the checkpoint, and build.log.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from demo_model.baselines import score
from demo_model.corpus import Corpus, build_corpus
from demo_model.engine_check import check_agreement, take_samples
from demo_model.export import Precision, rounded, write_gguf
from demo_model.memory import keep_freed_memory
from demo_model.network import Network
from demo_model.report import (
    Log,
    agreement_lines,
    corpus_lines,
    machine_lines,
    sample_lines,
    score_lines,
    training_lines,
)
from demo_model.shape import Shape
from demo_model.tokenizer import DemoTokenizer
from demo_model.training import Recipe, Trainer
from demo_model.training_rows import SHARES, make_tokenizer, rows_by_kind
from demo_model.written_text import CorpusError

TOKENIZED_TEXTS = 200
HELD_OUT_NOTE = """\
Held out by document. A *-templated document is an unseen combination of templates and words that occur in training,
so those two lines say little about other text. The unigram baseline is fitted to the training text of the same kind."""
BYTES_THAT_CONTINUE_A_CHARACTER = range(0x80, 0xC0)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the command line asks for."""

    out: Path
    recipe: Recipe
    resume: bool


def read_plan(arguments: list[str]) -> Plan:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Make the demonstration model of scout-deploy on the CPU.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--minutes", type=float, default=25.0, help="training time; 0.2 for a quick try (default 25)")
    parser.add_argument("--steps", type=int, default=0, help="repeat a run of so many steps, instead of by time")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")
    parser.add_argument("--seed", type=int, default=1, help="of the corpus, the weights and the samples (default 1)")
    parser.add_argument("--export-checkpoint", action="store_true", help="don't train: export DIR's checkpoint")
    given = parser.parse_args(arguments)
    recipe = Recipe(minutes=given.minutes, steps=given.steps, threads=given.threads, seed=given.seed)
    return Plan(out=given.out, recipe=recipe, resume=given.export_checkpoint)


def token_lengths(tokenizer: DemoTokenizer) -> np.ndarray:
    """Return how many characters each token begins."""
    starts = [sum(value not in BYTES_THAT_CONTINUE_A_CHARACTER for value in token) for token in tokenizer.bytes]
    return np.array(starts)


def trained(plan: Plan, corpus: Corpus, tokenizer: DemoTokenizer, log: Log) -> Network:
    """Return the network: trained now, or from the checkpoint of a build that was cut off."""
    network = Network(Shape())
    checkpoint = plan.out / "checkpoint.pt"
    if plan.resume:
        network.load_state_dict(torch.load(checkpoint, weights_only=True))
        log(f"weights of {checkpoint.name}, not trained further")
        return network
    rows = rows_by_kind(corpus.training, tokenizer)
    trainer = Trainer(network, plan.recipe, checkpoint)
    progress = trainer.train(rows, SHARES, lambda line: print(line, flush=True))
    for line in training_lines(plan.recipe, progress):
        log(line)
    return network


def section(log: Log, title: str) -> None:
    """Begin a part of the log."""
    log("")
    log(f"== {title}")


def evaluate(plan: Plan, network: Network, corpus: Corpus, tokenizer: DemoTokenizer, log: Log) -> None:
    """Measure the network and the exported files, and write it all into the log."""
    section(log, "Held-out cross-entropy, nats per token (learnt tokens only)")
    training, held_out = rows_by_kind(corpus.training, tokenizer), rows_by_kind(corpus.held_out, tokenizer)
    small = rounded(network, Precision.Q8_0)
    for line in score_lines(score(network, small, training, held_out, token_lengths(tokenizer))):
        log(line)
    log(HELD_OUT_NOTE)
    files = (plan.out / "scout-demo-f32.gguf", plan.out / "scout-demo-q8_0.gguf")
    section(log, "llama.cpp against PyTorch")
    texts = corpus.held_out[:: max(1, len(corpus.held_out) // TOKENIZED_TEXTS)]
    for line in agreement_lines(check_agreement(network, tokenizer, files, texts, plan.recipe.threads)):
        log(line)
    section(log, "Samples of the q8_0 file through llama.cpp: demonstration text, not to be relied on")
    for line in sample_lines(
        take_samples(files[1], tokenizer, plan.recipe.seed, plan.recipe.threads), plan.recipe.seed
    ):
        log(line)


def build(plan: Plan) -> None:
    """Make everything."""
    plan.out.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    torch.set_num_threads(plan.recipe.threads)
    torch.manual_seed(plan.recipe.seed)
    log = Log(plan.out / "build.log")
    for line in machine_lines():
        log(line)
    section(log, "Corpus")
    corpus = build_corpus(plan.recipe.seed)
    for line in corpus_lines(corpus):
        log(line)
    tokenizer = make_tokenizer(corpus, Shape())
    section(log, "Training")
    network = trained(plan, corpus, tokenizer, log)
    log(f"{sum(weight.numel() for weight in network.parameters()):,} parameters")
    for precision in Precision:
        path = plan.out / f"scout-demo-{precision.name.lower()}.gguf"
        write_gguf(path, network, tokenizer, precision)
        log(f"{path.name}  {path.stat().st_size:,} bytes")
    evaluate(plan, network, corpus, tokenizer, log)


def main() -> int:
    """Run the build; an error in the corpus is said in one line."""
    try:
        build(read_plan(sys.argv[1:]))
    except CorpusError as error:
        print(f"build.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
