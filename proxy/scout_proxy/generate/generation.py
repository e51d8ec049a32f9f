"""One documented request, from its fields to its texts: template, room in the context, sequences."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from functools import partial

from scout_proxy.cache.flight import Texts
from scout_proxy.caller import Caller
from scout_proxy.errors import InvalidRequestError, ProxyError
from scout_proxy.generate.contract import GenerateRequest
from scout_proxy.generate.sampling import generation_parameters, is_greedy, sequence_seeds
from scout_proxy.generate.stop_strings import StopScanner, cut_at_stop
from scout_proxy.observation.metrics import Metrics
from scout_proxy.observation.observed_generation import GenerationObserver, ObservedGeneration
from scout_proxy.upstreams.balancer import Attempt, Balancer
from scout_proxy.upstreams.engine import EngineFacts, Generated, GenerationParameters, Pieces
from scout_proxy.upstreams.room import measure_room, room_by_bytes

_SEEDS = range(1, 2**31)

# Told the sequence and a piece of its text.
Tell = Callable[[int, str], None]
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is to be generated.

    Args:
        format_prompt: Gives the prompt in the format of the moment, since a request that waits or is done again can
            meet another model than before.
        headers: For the engine.
        on_let_in: Called whenever one of its sequences has a place at an engine.
    """

    request: GenerateRequest
    format_prompt: Callable[[], str]
    caller: Caller
    headers: Mapping[str, str] | None = None
    on_let_in: Callable[[], None] = lambda: None


class Generator:
    """Generates on the upstreams that the balancer chooses, each sequence for itself.

    Args:
        observer: Told of each generation at an upstream.
        draw_seeds: Gives that many different seeds.
    """

    def __init__(
        self,
        balancer: Balancer,
        metrics: Metrics,
        observer: GenerationObserver,
        *,
        draw_seeds: Callable[[int], list[int]] | None = None,
    ) -> None:
        self._balancer = balancer
        self._metrics = metrics
        self._observer = observer
        self._draw_seeds = draw_seeds or _SeedSource().draw

    async def generate(self, wanted: Wanted, tell: Tell | None = None) -> Texts:
        """Return the request's texts, telling each sequence's pieces meanwhile where that is wanted.

        Raises:
            ProxyError: Whatever keeps one sequence from being generated; the other sequences are cancelled.
        """
        request = wanted.request
        await self._balancer.wait_until_taken(wanted.caller)
        limits = self._balancer.limits()
        _check_stops(request, limits)
        room = _SharedRoom(wanted.format_prompt(), request.max_length, limits)
        sequences = [
            generation_parameters(request, max_new_tokens=request.max_length, seed=seed)
            for seed in sequence_seeds(request, self._draw_seeds)
        ]
        says = [
            None if tell is None else partial(_say, tell, _told_as(request, index)) for index in range(len(sequences))
        ]
        try:
            texts = await _all([self._one(wanted, room, *one) for one in zip(sequences, says, strict=True)])
        finally:
            self._metrics.observe_queue(wanted.caller.queued_s)
        return texts * request.num_return_sequences if is_greedy(request) else texts

    async def _one(self, wanted: Wanted, room: "_SharedRoom", parameters: GenerationParameters, say: Say | None) -> str:
        work = partial(self._ask, wanted, room, parameters, say)
        generated = await self._balancer.run(work, wanted.caller)
        return cut_at_stop(generated.text, wanted.request.stop) if wanted.request.stop else generated.text

    async def _ask(
        self, wanted: Wanted, room: "_SharedRoom", parameters: GenerationParameters, say: Say | None, attempt: Attempt
    ) -> Generated:
        wanted.on_let_in()
        text = wanted.format_prompt()
        max_new_tokens = await room.at(text, attempt)
        if max_new_tokens != parameters.max_new_tokens:
            parameters = replace(parameters, max_new_tokens=max_new_tokens)
        with self._observer.begin(wanted.caller, attempt, parameters, headers=wanted.headers) as observed:
            if say is None:
                generated = await attempt.engine.generate(text, parameters, headers=observed.headers)
            else:
                generated = await _stream(text, parameters, say, attempt, observed)
            observed.done(generated)
            return generated


class _SharedRoom:
    """What is left behind a prompt, measured once for all sequences by the first one that has a place at an engine."""

    def __init__(self, text: str, max_length: int, limits: EngineFacts) -> None:
        self._max_length = max_length
        self._limits = limits
        self._known = room_by_bytes(text, max_length, limits)
        self._measuring = asyncio.Lock()

    async def at(self, text: str, attempt: Attempt) -> int:
        """Return how many tokens can be generated there, and wherever else the request might have gone.

        Raises:
            ProxyError: None, or the engine does not say how long the prompt is.
        """
        known = self._known
        if known is None or not known.holds_for(text, attempt.facts):
            async with self._measuring:
                known = self._known
                if known is None or not known.holds_for(text, attempt.facts):
                    facts = attempt.facts.least(self._limits)
                    known = self._known = await measure_room(text, self._max_length, facts, attempt.engine)
        return known.max_new_tokens


def _check_stops(request: GenerateRequest, limits: EngineFacts) -> None:
    most = limits.max_stop_sequences
    if request.stop and most is not None and len(request.stop) > most:
        message = f"The engine takes at most {most} stop strings, got {len(request.stop)}"
        raise InvalidRequestError.of("too_long", message, field="stop")


async def _stream(
    text: str, parameters: GenerationParameters, say: Say, attempt: Attempt, observed: ObservedGeneration
) -> Generated:
    scanner = StopScanner(parameters.stop or ())
    said: list[str] = []

    def take(pieces: Pieces) -> bool:
        observed.begin_text()
        piece = scanner.feed("".join(pieces.texts))
        if pieces.generated is not None:
            piece += scanner.finish()
        if piece:
            attempt.has_sent = True
            said.append(piece)
            say(piece)
        return scanner.has_stopped

    generated = await attempt.engine.stream(text, parameters, take, headers=observed.headers)
    return generated or Generated(text="".join(said))


def _told_as(request: GenerateRequest, index: int) -> range:
    """Return the sequences that one generated sequence stands for: greedy ones are all the same."""
    return range(request.num_return_sequences) if is_greedy(request) else range(index, index + 1)


def _say(tell: Tell, sequences: range, text: str) -> None:
    for sequence in sequences:
        tell(sequence, text)


async def _all(works: list[Coroutine[None, None, str]]) -> Texts:
    """Await all; the first failure cancels the others."""
    if len(works) == 1:
        return (await works[0],)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except* ProxyError as failures:
        first: BaseException = failures
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None
    return tuple(task.result() for task in tasks)


class _SeedSource:
    """Draws seeds, which have to be different and need not be secret."""

    def __init__(self) -> None:
        self._random = random.Random()  # noqa: S311  # no secrets
        self._first = self._random.randrange

    def draw(self, count: int) -> list[int]:
        if count == 1:
            return [self._first(_SEEDS.start, _SEEDS.stop)]
        return self._random.sample(_SEEDS, count)
