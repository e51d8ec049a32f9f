"""TGI's native routes."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scout_engine import wire
from scout_engine.completed import Completed
from scout_engine.config import ServedModel
from scout_engine.errors import IncompleteGenerationError, IncompleteStreamError, RequestError
from scout_engine.generate_request import GenerateRequest, parse_generate_request, parse_stream_flag
from scout_engine.generation import Engine, Generation
from scout_engine.http_exchange import EventResponse, json_response, read_json, until_client_leaves
from scout_engine.tokens import Token
from scout_engine.validation import check_stream


class NativeRoutes:
    """`/generate` and its kin, for one engine."""

    def __init__(self, engine: Engine, model: ServedModel) -> None:
        self._engine = engine
        self._model = model

    def routes(self) -> Sequence[Route]:
        """Every native route; the health check has three names, as TGI's."""
        return [
            Route("/", self.health, methods=["GET"]),
            Route("/", self.compat_generate, methods=["POST"]),
            Route("/health", self.health),
            Route("/ping", self.health),
            Route("/info", self.info),
            Route("/metrics", self.metrics),
            Route("/generate", self.generate, methods=["POST"]),
            Route("/generate_stream", self.generate_stream, methods=["POST"]),
            Route("/tokenize", self.tokenize, methods=["POST"]),
        ]

    async def health(self, request: Request) -> Response:
        """200 with no body, or TGI's 503."""
        del request
        if await self._engine.is_healthy():
            return Response()
        return json_response({"error": "unhealthy", "error_type": "healthcheck"}, status=503)

    async def info(self, request: Request) -> Response:
        """The model and its limits."""
        del request
        return json_response(wire.info_body(self._model, self._engine.limits))

    async def metrics(self, request: Request) -> Response:
        """What Prometheus scrapes."""
        del request
        return Response(self._engine.metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def tokenize(self, request: Request) -> Response:
        """The tokens of a text, with where each lies in it; `truncate` is ignored, as TGI does."""
        inputs = parse_generate_request(await self._body(request)).inputs
        tokens = await self._engine.tokenize(inputs)
        offsets = list(self._engine.vocabulary.offsets(tokens, inputs.encode()))
        return json_response(wire.tokenized_body(tokens, offsets, inputs))

    async def compat_generate(self, request: Request) -> Response | EventResponse:
        """POST /: a list of one answer, or a stream; the prompt comes back unless `return_full_text` is false."""
        body = await self._body(request)
        stream, parsed = parse_stream_flag(body), parse_generate_request(body)
        if stream:
            return self._stream(parsed, full_text_default=True)
        answer, headers = await until_client_leaves(request.receive, self._answer(parsed, full_text_default=True))
        return json_response([answer], headers=headers)

    async def generate(self, request: Request) -> Response:
        """One whole answer."""
        parsed = parse_generate_request(await self._body(request))
        answer, headers = await until_client_leaves(request.receive, self._answer(parsed, full_text_default=False))
        return json_response(answer, headers=headers)

    async def generate_stream(self, request: Request) -> EventResponse:
        """One answer, token by token; whatever goes wrong is an event of a 200."""
        return self._stream(parse_generate_request(await self._body(request)), full_text_default=False)

    async def _body(self, request: Request) -> object:
        return await read_json(request, self._engine.limits.payload_limit_bytes)

    async def _answer(
        self, request: GenerateRequest, *, full_text_default: bool
    ) -> tuple[dict[str, object], Mapping[str, str]]:
        self._engine.metrics.requests.increment()
        details = request.parameters.details
        sequences = await self._sequences(request, details=details)
        body = wire.generate_body(sequences, prompt=_prompt(request, default=full_text_default), details=details)
        return body, wire.answer_headers(request.inputs, sequences[0])

    async def _sequences(self, request: GenerateRequest, *, details: bool) -> list[Completed]:
        best_of = request.parameters.best_of or 1
        if best_of > 1:
            return await self._engine.generate_best_of(request, best_of)
        return [await self._engine.generate(replace(request, needs_logprobs=details))]

    def _stream(self, request: GenerateRequest, *, full_text_default: bool) -> EventResponse:
        self._engine.metrics.requests.increment()
        prompt = _prompt(request, default=full_text_default)
        return EventResponse(lambda: self._events(request, prompt), wire.stream_headers(request.inputs))

    async def _events(self, request: GenerateRequest, prompt: str) -> AsyncGenerator[bytes]:
        try:
            check_stream(request.parameters)
            async with self._engine.generation(request) as generation:
                index = 0
                while generation.completed is None:
                    tokens = await generation.tokens()
                    yield _write(index, tokens, generation, prompt, details=request.parameters.details)
                    index += len(tokens)
            self._engine.metrics.observe_completed(generation.completed)
        except IncompleteGenerationError:
            yield self._failed(IncompleteStreamError())
        except RequestError as error:
            yield self._failed(error)

    def _failed(self, error: RequestError) -> bytes:
        self._engine.metrics.failures.increment(error.error_type)
        return wire.event(wire.error_body(error))


def _prompt(request: GenerateRequest, *, default: bool) -> str:
    wanted = request.parameters.return_full_text
    return request.inputs if (default if wanted is None else wanted) else ""


def _write(index: int, tokens: Sequence[Token], generation: Generation, prompt: str, *, details: bool) -> bytes:
    completed = generation.completed
    running = tokens if completed is None else tokens[:-1]
    written = [wire.stream_event(index + place, token) for place, token in enumerate(running, 1)]
    if completed is not None:
        written.append(
            wire.last_stream_event(index + len(tokens), tokens[-1], completed, prompt=prompt, details=details)
        )
    return b"".join(written)
