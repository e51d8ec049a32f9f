"""Greedy continuation by the PyTorch network, to compare with what llama.cpp makes of the exported file."""

from collections.abc import Sequence

import torch

from demo_model.network import Network


@torch.no_grad()
def greedy(network: Network, prompt: Sequence[int], count: int, ends: frozenset[int]) -> list[int]:
    """Return up to `count` most likely tokens after the prompt, without the end token; stops at one of `ends`."""
    tokens = list(prompt)
    for _ in range(count):
        hidden, _ = network(torch.tensor([tokens]))
        following = int(network.logits(hidden[0, -1]).argmax())
        if following in ends:
            break
        tokens.append(following)
    return tokens[len(prompt) :]
