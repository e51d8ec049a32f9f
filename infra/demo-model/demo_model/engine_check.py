"""Compare the exported files in llama.cpp with the PyTorch network, and take samples from the shipped one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from demo_model.document import Document
from demo_model.engine import Completion, LlamaCpp
from demo_model.generation import greedy
from demo_model.network import Network
from demo_model.prompts import CONVERSATIONS, RAW_PROMPTS
from demo_model.special_tokens import BEGIN_OF_TEXT, END_OF_MESSAGE, END_OF_TEXT, END_OF_TURN
from demo_model.tokenizer import DemoTokenizer

COMPARED_TOKENS = 48
SAMPLED_TOKENS = 220
TEMPERATURE = 0.7
TOKENIZED_CHARACTERS = 600


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far llama.cpp and PyTorch say the same.

    Attributes:
        prompts: Compared prompts.
        f32: Of these, with the same greedy tokens from the f32 file.
        q8_0: Likewise from the q8_0 file.
        q8_0_share: Mean share of the f32 network's greedy tokens that come out of the q8_0 file in the same order.
        texts: Held-out texts tokenized.
        same_tokens: Of these, with the same tokens.
        templates: Conversations for which the chat template gives the prompt that the model was trained on.
    """

    prompts: int
    f32: int
    q8_0: int
    q8_0_share: float
    texts: int
    same_tokens: int
    templates: int


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What the shipped file made of a prompt, the first try."""

    prompt: str
    completion: Completion


def ends(tokenizer: DemoTokenizer) -> frozenset[int]:
    """Return the tokens that end a generation."""
    return frozenset(tokenizer.special[token] for token in (END_OF_TEXT, END_OF_MESSAGE, END_OF_TURN))


def compared_prompts(tokenizer: DemoTokenizer) -> list[list[int]]:
    """Return the tokens of all prompts."""
    chat = [tokenizer.encode_prompt(conversation.messages) for conversation in CONVERSATIONS]
    raw = [[tokenizer.special[BEGIN_OF_TEXT], *tokenizer.encode(text)] for text in RAW_PROMPTS]
    return chat + raw


def continued(engine: LlamaCpp, prompt: list[int], end_tokens: frozenset[int]) -> list[int]:
    """Return llama.cpp's greedy tokens without the end token."""
    tokens = engine.complete(prompt, COMPARED_TOKENS, temperature=0, seed=1).tokens
    return [token for token in tokens if token not in end_tokens]


def common_share(expected: Sequence[int], got: Sequence[int]) -> float:
    """Return the share of the expected tokens that `got` has in the same order."""
    blocks = SequenceMatcher(None, expected, got, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / max(len(expected), 1)


def check_agreement(
    network: Network, tokenizer: DemoTokenizer, files: tuple[Path, Path], texts: Iterable[Document], threads: int
) -> Agreement:
    """Compare greedy generation, tokens and chat template; `files` are the f32 and the q8_0 file."""
    prompts = compared_prompts(tokenizer)
    end_tokens = ends(tokenizer)
    expected = [greedy(network, prompt, COMPARED_TOKENS, end_tokens) for prompt in prompts]
    excerpts = [text.text[:TOKENIZED_CHARACTERS] for text in texts]
    with LlamaCpp(files[0], threads) as engine:
        full = [continued(engine, prompt, end_tokens) for prompt in prompts]
        same_tokens = sum(engine.tokenize(text) == tokenizer.encode(text) for text in excerpts)
        templates = sum(template_agrees(engine, tokenizer, number) for number in range(len(CONVERSATIONS)))
    with LlamaCpp(files[1], threads) as engine:
        small = [continued(engine, prompt, end_tokens) for prompt in prompts]
    shares = [common_share(wanted, got) for wanted, got in zip(expected, small, strict=True)]
    return Agreement(
        prompts=len(prompts),
        f32=sum(wanted == got for wanted, got in zip(expected, full, strict=True)),
        q8_0=sum(wanted == got for wanted, got in zip(expected, small, strict=True)),
        q8_0_share=sum(shares) / len(shares),
        texts=len(excerpts),
        same_tokens=same_tokens,
        templates=templates,
    )


def template_agrees(engine: LlamaCpp, tokenizer: DemoTokenizer, number: int) -> bool:
    """Say whether the file's chat template, tokenized by llama.cpp, gives the tokens of training."""
    conversation = CONVERSATIONS[number]
    prompt = engine.apply_template(conversation.plain)
    body = {"content": prompt, "add_special": not prompt.startswith(BEGIN_OF_TEXT), "parse_special": True}
    tokens: list[int] = engine.post("/tokenize", body)["tokens"]
    return tokens == tokenizer.encode_prompt(conversation.messages)


def take_samples(file: Path, tokenizer: DemoTokenizer, seed: int, threads: int) -> list[Sample]:
    """Return one sampled continuation for each prompt, all with the same seed: the first try, whatever it is."""
    named = [conversation.messages[-1].content for conversation in CONVERSATIONS] + list(RAW_PROMPTS)
    with LlamaCpp(file, threads) as engine:
        return [
            Sample(prompt=name, completion=engine.complete(prompt, SAMPLED_TOKENS, TEMPERATURE, seed))
            for name, prompt in zip(named, compared_prompts(tokenizer), strict=True)
        ]
