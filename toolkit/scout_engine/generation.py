"""Run requests through llama.cpp: the places at the engine, validation, best_of, and the way from events to tokens."""

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from time import perf_counter

from scout_engine.completed import Completed, Timings
from scout_engine.concurrency import all_or_none
from scout_engine.config import Limits
from scout_engine.errors import (
    GenerationError,
    IncompleteGenerationError,
    OverloadedError,
    ValidationError,
)
from scout_engine.generate_request import GenerateRequest
from scout_engine.grammar import GrammarProbe
from scout_engine.llama_client import CompletionEvent, EventStream, LlamaClient, LlamaError
from scout_engine.metrics import EngineMetrics
from scout_engine.sampling import completion_body
from scout_engine.tokens import FinishReason, Token, TokenReader
from scout_engine.validation import ValidRequest, check_best_of, check_length, check_parameters, check_runs
from scout_engine.vocabulary import Vocabulary

_BAD_REQUEST = 400
_REMEMBERED_GRAMMARS = 256


def _from_llama(error: LlamaError) -> ValidationError | GenerationError:
    return ValidationError(str(error)) if error.status == _BAD_REQUEST else GenerationError(str(error))


class Generation:
    """One sequence while it is generated. Read tokens until `completed` is there."""

    def __init__(
        self, *, stream: EventStream, reader: TokenReader, input_length: int, seed: int | None, stopwatch: "Stopwatch"
    ) -> None:
        self._stream = stream
        self._reader = reader
        self._seed = seed
        self._stopwatch = stopwatch
        self.input_length = input_length
        self.completed: Completed | None = None

    async def begin(self) -> None:
        """Wait until llama.cpp has a slot.

        Raises:
            ValidationError: llama.cpp refuses the request, such as a grammar that it cannot follow.
            GenerationError: It failed.
        """
        try:
            await self._stream.begun()
        except LlamaError as error:
            raise _from_llama(error) from error
        self._stopwatch.lap()

    def cancel(self) -> None:
        """End the work in llama.cpp; whoever waits for tokens gets IncompleteGenerationError."""
        self._stream.close()

    async def tokens(self) -> list[Token]:
        """Wait for the next tokens and return all that are there; `completed` is set with the last ones.

        Raises:
            RequestError: llama.cpp failed, or stopped before the end.
        """
        try:
            events = await self._stream.events()
        except LlamaError as error:
            raise GenerationError(str(error)) from error
        if not events:
            raise IncompleteGenerationError
        return self._read(events)

    def _read(self, events: Sequence[CompletionEvent]) -> list[Token]:
        tokens: list[Token] = []
        for event in events:
            tokens += self._reader.read(event)
            if self._reader.finish_reason is not None:
                self._complete(self._reader.finish_reason)
                break
        return tokens

    def _complete(self, reason: FinishReason) -> None:
        self._stream.close()
        self._stopwatch.lap()
        self.completed = Completed(
            text=self._reader.text,
            tokens=(),
            finish_reason=reason,
            generated_tokens=self._reader.count,
            seed=self._seed,
            input_length=self.input_length,
            timings=self._stopwatch.timings(),
        )


class Stopwatch:
    """Time one request from its arrival; `lap` ends a phase: checking, waiting for a slot, generating."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._marks = [clock()]

    def lap(self) -> None:
        """End the present phase."""
        self._marks.append(self._clock())

    def timings(self) -> Timings:
        """The three phases, once all have ended."""
        arrived, checked, begun, ended = self._marks
        return Timings(
            validation_s=checked - arrived,
            queue_s=begun - checked,
            inference_s=ended - begun,
            total_s=ended - arrived,
        )


class Engine:
    """The model with its limits: what the routes call."""

    def __init__(
        self,
        *,
        llama: LlamaClient,
        vocabulary: Vocabulary,
        limits: Limits,
        metrics: EngineMetrics,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._llama = llama
        self.vocabulary = vocabulary
        self.limits = limits
        self.metrics = metrics
        self._clock = clock
        self._in_flight = 0
        self._followed: set[str] = set()

    async def tokenize(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Return the tokens of `text`, its special tokens recognised, a begin-of-text token where wanted.

        Raises:
            ValidationError: The tokenizer cannot take it.
            GenerationError: llama.cpp failed.
        """
        check_runs(text)
        body = {"content": text, "add_special": add_special_tokens, "parse_special": True}
        try:
            answer = await self._llama.post("/tokenize", body)
        except LlamaError as error:
            raise GenerationError(str(error)) from error
        tokens: list[int] = answer["tokens"]  # type: ignore[assignment]  # llama.cpp's answer is not typed
        return tokens

    async def is_healthy(self) -> bool:
        """Whether llama.cpp answers."""
        try:
            await self._llama.get("/health")
        except LlamaError:
            return False
        return True

    @asynccontextmanager
    async def generation(self, request: GenerateRequest) -> AsyncIterator[Generation]:
        """Check `request`, begin its generation, and end it on the way out, finished or not.

        Raises:
            OverloadedError: As many requests as allowed are in flight.
            ValidationError: The request breaks a rule.
            GenerationError: llama.cpp failed.
        """
        if self._in_flight >= self.limits.max_concurrent_requests:
            raise OverloadedError
        self._in_flight += 1
        try:
            async with self._started(request) as generation:
                yield generation
        finally:
            self._in_flight -= 1

    @asynccontextmanager
    async def _started(self, request: GenerateRequest) -> AsyncIterator[Generation]:
        stopwatch = Stopwatch(self._clock)
        valid = await self._validate(request)
        self.metrics.observe_valid(len(valid.input_ids), valid.max_new_tokens)
        seed = secrets.randbits(64) if valid.seed is None else valid.seed
        body = completion_body(valid, seed, self.limits.max_total_tokens)
        stopwatch.lap()
        try:
            stream = await self._llama.stream("/completion", body)
        except LlamaError as error:
            raise GenerationError(str(error)) from error
        with stream:
            generation = Generation(
                stream=stream,
                reader=TokenReader(self.vocabulary, valid.stop, valid.max_new_tokens, valid.top_n_tokens),
                input_length=len(valid.input_ids),
                seed=seed if valid.sampling else None,
                stopwatch=stopwatch,
            )
            with self.metrics.waiting.track_inprogress():
                await generation.begin()
            with self.metrics.running.track_inprogress():
                yield generation

    async def _validate(self, request: GenerateRequest) -> ValidRequest:
        check_parameters(request, self.limits)
        tokens = await self.tokenize(request.inputs, add_special_tokens=request.add_special_tokens)
        valid = check_length(request, tokens, self.limits)
        if valid.schema is not None:
            await self._check_grammar(GrammarProbe(valid.schema, self.vocabulary))
        return valid

    async def _check_grammar(self, probe: GrammarProbe) -> None:
        key = probe.key
        if key in self._followed:
            return
        try:
            followed = probe.is_followed(await self._llama.post("/completion", probe.body()))
        except LlamaError as error:
            raise _from_llama(error) from error
        if not followed:
            raise ValidationError("grammar is not valid: this engine cannot follow the JSON schema")
        if len(self._followed) >= _REMEMBERED_GRAMMARS:
            self._followed.clear()
        self._followed.add(key)

    async def generate(self, request: GenerateRequest) -> Completed:
        """Generate one whole sequence; errors as `generation`."""
        async with self.generation(request) as generation:
            tokens: list[Token] = []
            while generation.completed is None:
                tokens += await generation.tokens()
            self.metrics.observe_completed(generation.completed)
            return replace(generation.completed, tokens=tokens)

    async def generate_best_of(self, request: GenerateRequest, count: int) -> list[Completed]:
        """Generate `count` sequences at once and return the likeliest first, the others in their order.

        One that fails ends them all.
        """
        check_best_of(count, self.limits)
        sequences = await all_or_none([self.generate(request) for _ in range(count)])
        best = max(sequences, key=lambda sequence: sequence.mean_logprob)
        return [best, *(sequence for sequence in sequences if sequence is not best)]
