"""TGI's OpenAI-compatible routes, and /chat_tokenize, which shares their body."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scout_engine import openai_wire, wire
from scout_engine.chat_template import ChatTemplate
from scout_engine.completed import Completed
from scout_engine.concurrency import all_or_none, merge
from scout_engine.config import ServedModel
from scout_engine.errors import BatchSizeError, IncompleteGenerationError, IncompleteStreamError, RequestError
from scout_engine.generate_request import GenerateRequest
from scout_engine.generation import Engine
from scout_engine.http_exchange import EventResponse, json_response, read_json, until_client_leaves
from scout_engine.openai_requests import ChatRequest, CompletionRequest, parse_chat_request, parse_completion_request
from scout_engine.openai_wire import DONE, OpenAiWire
from scout_engine.tokens import Token


class OpenAiRoutes:
    """`/v1/...` for one engine."""

    def __init__(self, engine: Engine, model: ServedModel) -> None:
        self._engine = engine
        self._model = model
        self._wire = OpenAiWire(model)
        self._template = ChatTemplate(model.chat_template, bos=model.bos_token, eos=model.eos_token)

    def routes(self) -> Sequence[Route]:
        """Every route of this family."""
        return [
            Route("/v1/models", self.models),
            Route("/v1/chat/completions", self.chat_completions, methods=["POST"]),
            Route("/v1/completions", self.completions, methods=["POST"]),
            Route("/chat_tokenize", self.chat_tokenize, methods=["POST"]),
        ]

    async def models(self, request: Request) -> Response:
        """The one model."""
        del request
        return json_response(self._wire.models())

    async def chat_tokenize(self, request: Request) -> Response:
        """A conversation rendered with the model's template, and its tokens."""
        self._engine.metrics.requests.increment()
        chat = parse_chat_request(await self._body(request), self._model)
        prompt = self._template.render(chat.messages)
        tokens = await self._engine.tokenize(prompt, add_special_tokens=False)
        offsets = list(self._engine.vocabulary.offsets(tokens, prompt.encode()))
        body = wire.tokenized_body(tokens, offsets, prompt)
        return json_response({"tokenize_response": body, "templated_text": prompt})

    async def chat_completions(self, request: Request) -> Response | EventResponse:
        """One answer to a conversation."""
        self._engine.metrics.requests.increment()
        chat = parse_chat_request(await self._body(request), self._model)
        generate = chat.to_generate(self._template.render(chat.messages))
        if chat.stream:
            return EventResponse(lambda: self._chat_events(chat, generate), wire.stream_headers(generate.inputs))
        completed = await until_client_leaves(request.receive, self._engine.generate(generate))
        body = self._wire.chat(completed, logprobs=chat.logprobs)
        return json_response(body, headers=wire.answer_headers(generate.inputs, completed))

    async def completions(self, request: Request) -> Response | EventResponse:
        """One continuation of each prompt."""
        self._engine.metrics.requests.increment()
        asked = parse_completion_request(await self._body(request), self._model)
        limit = self._engine.limits.max_client_batch_size
        if len(asked.requests) > limit:
            raise BatchSizeError(f"Number of prompts exceeds the maximum allowed batch size of {limit}")
        prompts = [one.inputs for one in asked.requests]
        if asked.stream:
            headers = openai_wire.completion_stream_headers(prompts)
            return EventResponse(lambda: self._completion_events(asked), headers)
        work = all_or_none([self._engine.generate(one) for one in asked.requests])
        sequences = await until_client_leaves(request.receive, work)
        headers = openai_wire.completion_headers(prompts, sequences)
        return json_response(self._wire.completion(sequences), headers=headers)

    async def _body(self, request: Request) -> object:
        return await read_json(request, self._engine.limits.payload_limit_bytes)

    async def _chat_events(self, chat: ChatRequest, request: GenerateRequest) -> AsyncGenerator[bytes]:
        try:
            async with aclosing(self._tokens(request)) as batches:
                async for tokens, completed in batches:
                    yield b"".join(
                        self._wire.chat_event(token, ending, logprobs=chat.logprobs)
                        for token, ending in _with_ending(tokens, completed)
                    )
                    if completed is not None and chat.include_usage:
                        yield self._wire.usage_event(completed)
        except RequestError as error:
            yield self._failed(error)
        yield DONE

    async def _completion_events(self, asked: CompletionRequest) -> AsyncGenerator[bytes]:
        streams = [self._one_completion(index, request) for index, request in enumerate(asked.requests)]
        async with aclosing(merge(streams)) as chunks:
            async for chunk in chunks:
                yield chunk
        yield DONE

    async def _one_completion(self, index: int, request: GenerateRequest) -> AsyncGenerator[bytes]:
        try:
            async with aclosing(self._tokens(request)) as batches:
                async for tokens, completed in batches:
                    yield b"".join(
                        self._wire.completion_event(index, token, ending)
                        for token, ending in _with_ending(tokens, completed)
                    )
        except RequestError as error:
            yield self._failed(error)

    async def _tokens(self, request: GenerateRequest) -> AsyncGenerator[tuple[list[Token], Completed | None]]:
        """Yield tokens as they come; with the last ones, what was completed."""
        async with self._engine.generation(request) as generation:
            while generation.completed is None:
                tokens = await generation.tokens()
                yield tokens, generation.completed
        self._engine.metrics.observe_completed(generation.completed)

    def _failed(self, error: RequestError) -> bytes:
        named = IncompleteStreamError() if isinstance(error, IncompleteGenerationError) else error
        self._engine.metrics.failures.increment(named.error_type)
        return wire.openai_error_event(named)


def _with_ending(tokens: Sequence[Token], completed: Completed | None) -> Iterator[tuple[Token, Completed | None]]:
    """Pair the last token with what was completed, the others with None."""
    for place, token in enumerate(tokens, 1):
        yield token, completed if place == len(tokens) else None
