"""One documented request, from its fields to its texts: template, room in the context, sequences."""

import asyncio
import random
from collections.abc import Callable
from time import monotonic

from scout_proxy.contract import GenerateRequest
from scout_proxy.engine import EngineFacts, Generated, GenerationParameters
from scout_proxy.errors import InvalidRequestError, ProxyError
from scout_proxy.metrics import Metrics
from scout_proxy.sampling import generation_parameters, is_greedy
from scout_proxy.upstream_pool import UpstreamPool

# What a tokenizer may add to a prompt: the begin-of-text token, and the space that some put in front.
_ADDED_TOKENS = 4
# Seeds are 32 bit in some engines, and some take the largest for "draw one".
_SEEDS = range(1, 2**31)


class Generator:
    """Generates on the pool's upstreams.

    Args:
        draw_seeds: Gives that many different seeds.
    """

    def __init__(
        self, pool: UpstreamPool, metrics: Metrics, *, draw_seeds: Callable[[int], list[int]] | None = None
    ) -> None:
        self._pool = pool
        self._metrics = metrics
        self._draw_seeds = draw_seeds or _draw_seeds

    async def generate(self, request: GenerateRequest, text: str) -> list[str]:
        """Return the request's texts.

        Args:
            text: The prompt as the engine gets it.

        Raises:
            ProxyError: Whatever keeps one sequence from being generated; the other sequences are cancelled.
        """
        max_new_tokens = await self._room(text, request.max_length)
        count = 1 if is_greedy(request) else request.num_return_sequences
        sequences = [
            generation_parameters(request, max_new_tokens=max_new_tokens, seed=seed) for seed in self._draw_seeds(count)
        ]
        texts = await self._all(text, sequences)
        return texts * request.num_return_sequences if is_greedy(request) else texts

    async def _room(self, text: str, max_length: int) -> int:
        """Cut `max_length` to what the context has room for; the engine counts only where bytes cannot prove it."""
        facts = self._pool.limits()
        most_tokens = len(text.encode()) + _ADDED_TOKENS  # no token stands for less than a byte
        if most_tokens <= facts.max_input_tokens and most_tokens + max_length <= facts.max_total_tokens:
            return max_length
        with self._pool.lease() as (_, engine):
            tokens = await engine.count_tokens(text)
        return min(max_length, _left_by(tokens, facts))

    async def _all(self, text: str, sequences: list[GenerationParameters]) -> list[str]:
        if len(sequences) == 1:
            return [await self._one(text, sequences[0])]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._one(text, sequence)) for sequence in sequences]
        except* ProxyError as failures:
            first: BaseException = failures
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            raise first from None
        return [task.result() for task in tasks]

    async def _one(self, text: str, parameters: GenerationParameters) -> str:
        with self._pool.lease() as (upstream, engine):
            began = monotonic()
            try:
                generated = await engine.generate(text, parameters)
            finally:
                self._metrics.observe_upstream(upstream, monotonic() - began)
        self._count(generated)
        return generated.text

    def _count(self, generated: Generated) -> None:
        self._metrics.count_tokens(prompt=generated.prompt_tokens, generated=generated.generated_tokens)


def _left_by(tokens: int, facts: EngineFacts) -> int:
    limit = min(facts.max_input_tokens, facts.max_total_tokens - 1)
    if tokens > limit:
        raise InvalidRequestError.of(
            "prompt_too_long",
            f"The prompt has {tokens} tokens and leaves no room to generate; the limit is {limit}",
            field="prompt",
        )
    return facts.max_total_tokens - tokens


def _draw_seeds(count: int) -> list[int]:
    return random.SystemRandom().sample(_SEEDS, count)
