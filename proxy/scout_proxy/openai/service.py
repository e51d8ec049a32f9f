"""Answers the OpenAI routes with the engine's own: several sequences as one answer, in the words of OpenAI's."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from time import time
from typing import Any, TypeVar

from pydantic_core import from_json, to_json

from scout_proxy.errors import GenerationFailedError, NoRoomError, ProxyError
from scout_proxy.http.event_stream import EventSink
from scout_proxy.http.request_id import HEADER
from scout_proxy.http.sse import write_event
from scout_proxy.openai.bodies import SequenceBody, chat_bodies, completion_bodies
from scout_proxy.openai.choices import ChatForm, ChoiceReader, CompletionForm, Form, Json
from scout_proxy.openai.errors import ModelNotFoundError, OpenAiRequestError
from scout_proxy.openai.requests import ANY_MODEL, ChatRequest, CompletionRequest
from scout_proxy.route_watcher import RouteWatcher
from scout_proxy.routes.forwarding import Asked, Forwarder, Outbound
from scout_proxy.upstreams.engine import Event, Forwarded, Generated

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
_CHAT_TOKENIZE = "/chat_tokenize"
_DONE = write_event(b"[DONE]")
_SEEDS = range(1, 2**31)

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One request, ready to be sent to engines.

    Args:
        head: What every object of its answer begins with.
    """

    path: str
    form: Form
    bodies: Sequence[SequenceBody]
    stops: Sequence[str]
    include_usage: bool
    head: Json


class OpenAiService:
    """Knows what is served under which name.

    Args:
        draw_seeds: Gives that many different seeds.
    """

    def __init__(
        self,
        routes: RouteWatcher,
        forwarder: Forwarder,
        *,
        draw_seeds: Callable[[int], list[int]] = lambda count: random.SystemRandom().sample(_SEEDS, count),
        now: Callable[[], float] = time,
    ) -> None:
        self._routes = routes
        self._forwarder = forwarder
        self._draw_seeds = draw_seeds
        self._now = now
        self._created = int(now())

    def models(self) -> list[Json]:
        """Return what `GET /v1/models` lists."""
        name = self._routes.served.table.identity.model
        return [{"id": name, "object": "model", "created": self._created, "owned_by": "scout-deploy"}]

    def check_model(self, name: str) -> None:
        """Raise `ModelNotFoundError` for a model that is not served here."""
        table = self._routes.served.table
        if name not in {table.identity.model, table.serving.model_id, *ANY_MODEL}:
            raise ModelNotFoundError(name, table.identity.model)

    def chat(self, request: ChatRequest, asked: Asked) -> Wanted:
        """Make a chat ready."""
        self._check(request, choices=request.n)
        bodies = chat_bodies(request, self._routes.served.control_tokens, self._draw_seeds(request.n))
        return self._wanted(CHAT, ChatForm(), request, bodies, asked)

    def completion(self, request: CompletionRequest, asked: Asked) -> Wanted:
        """Make a completion ready."""
        self._check(request, choices=request.n * len(request.prompts))
        bodies = completion_bodies(request, self._draw_seeds(request.n))
        return self._wanted(COMPLETIONS, CompletionForm(), request, bodies, asked)

    async def whole(self, wanted: Wanted, asked: Asked) -> bytes:
        """Return the body of a whole answer.

        Raises:
            ProxyError: Whatever keeps one sequence from being generated; the other sequences are cancelled.
        """
        answers = await _all([self._one_whole(wanted, body, asked) for body in wanted.bodies])
        choices = [
            {"index": index, **choice}
            for body, (choice, _) in zip(wanted.bodies, answers, strict=True)
            for index in body.indexes
        ]
        usage = _usage(zip(wanted.bodies, (counts for _, counts in answers), strict=True))
        return to_json({**wanted.head, "object": wanted.form.whole_kind, "choices": choices, "usage": usage})

    async def stream(self, wanted: Wanted, asked: Asked, sink: EventSink) -> None:
        """Send a whole stream, its sequences interleaved; errors as `whole`."""
        writer = _ChunkWriter(wanted)
        counts = await _all([self._one_stream(wanted, body, asked, writer, sink) for body in wanted.bodies])
        end = _DONE
        if wanted.include_usage:
            end = writer.usage(_usage(zip(wanted.bodies, counts, strict=True))) + end
        await sink.send(end)

    def _check(self, request: ChatRequest | CompletionRequest, *, choices: int) -> None:
        self.check_model(request.model)
        most = self._routes.served.table.limits.max_num_return_sequences
        if choices > most:
            message = f"At most {most} choices are generated for one request, got {choices}"
            raise OpenAiRequestError(message, param="n", code="invalid_value")

    def _wanted(
        self,
        path: str,
        form: Form,
        request: ChatRequest | CompletionRequest,
        bodies: Sequence[SequenceBody],
        asked: Asked,
    ) -> Wanted:
        table = self._routes.served.table
        serving = table.serving
        head: Json = {
            "id": form.id_prefix + asked.headers[HEADER],
            "created": int(self._now()),
            "model": table.identity.model,
            "system_fingerprint": "-".join(filter(None, (serving.engine, serving.engine_version))),
        }
        return Wanted(
            path=path,
            form=form,
            bodies=bodies,
            stops=request.stops,
            include_usage=request.include_usage,
            head=head,
        )

    async def _one_whole(self, wanted: Wanted, body: SequenceBody, asked: Asked) -> tuple[Json, Generated]:
        def read(answer: Forwarded) -> tuple[tuple[Json, Generated], Generated]:
            choice, generated = _read_whole(wanted, answer)
            return (choice, generated), generated

        return await self._within_room(
            body, asked, lambda one: self._forwarder.whole(asked, _outbound(wanted, one), read)
        )

    async def _one_stream(
        self, wanted: Wanted, body: SequenceBody, asked: Asked, writer: "_ChunkWriter", sink: EventSink
    ) -> Generated:
        reader = ChoiceReader(wanted.form, wanted.stops)

        async def take(events: list[Event]) -> bool:
            choices, failure = _read_events(reader, events)
            if choices:
                await sink.send(writer.chunks(choices, body.indexes))
            if failure is not None:
                raise failure
            return reader.is_cut

        def generated() -> Generated:
            return _generated(reader.usage or {"completion_tokens": reader.tokens}, reader.finish_reason)

        await self._within_room(
            body, asked, lambda one: self._forwarder.stream(asked, _outbound(wanted, one), take, generated)
        )
        if reader.usage is None and wanted.include_usage:
            return replace(generated(), prompt_tokens=await self._prompt_tokens(body, asked))
        return generated()

    async def _within_room(self, body: SequenceBody, asked: Asked, send: Callable[[SequenceBody], Awaitable[_T]]) -> _T:
        """Cut `max_tokens` to what is left of the context; only the engine knows how long a chat is in its format."""
        if body.max_tokens is None:
            return await send(body)
        if body.prompt is not None:
            room = await self._forwarder.room(asked, body.prompt, body.max_tokens)
            return await send(body if room == body.max_tokens else body.with_max_tokens(room))
        try:
            return await send(body)
        except NoRoomError:
            return await send(body.with_max_tokens(None))

    async def _prompt_tokens(self, body: SequenceBody, asked: Asked) -> int:
        """Have the prompt's tokens counted, for a stream that was ended before the engine could tell."""
        if body.prompt is not None:
            return await self._forwarder.count_tokens(asked, body.prompt)
        answer = await self._forwarder.look_up(asked, _CHAT_TOKENIZE, body.body)
        try:
            return len(from_json(answer.body)["tokenize_response"])
        except (KeyError, TypeError, ValueError) as exc:
            raise GenerationFailedError(f"the engine's {_CHAT_TOKENIZE} has no tokens") from exc


class _ChunkWriter:
    """Writes the events of one stream."""

    def __init__(self, wanted: Wanted) -> None:
        head = to_json({**wanted.head, "object": wanted.form.piece_kind})
        self._beginning = b"data: " + head[:-1]
        # Where the counts are asked for, every other event says that it has none.
        self._end = b',"usage":null}\n\n' if wanted.include_usage else b"}\n\n"

    def chunks(self, choices: Iterable[Json], indexes: range) -> bytes:
        """Return an event for each choice, for each of the indexes."""
        return b"".join(
            b'%b,"choices":[%b]%b' % (self._beginning, to_json({"index": index, **choice}), self._end)
            for choice in choices
            for index in indexes
        )

    def usage(self, usage: Json) -> bytes:
        """Return the event that has the counts and no choice."""
        return b'%b,"choices":[],"usage":%b}\n\n' % (self._beginning, to_json(usage))


def _outbound(wanted: Wanted, body: SequenceBody) -> Outbound:
    return Outbound(path=wanted.path, body=body.body, operation=wanted.form.operation, parameters=body.parameters)


def _read_whole(wanted: Wanted, answer: Forwarded) -> tuple[Json, Generated]:
    try:
        fields = from_json(answer.body)
        choice = wanted.form.whole(fields["choices"][0], wanted.stops)
        return choice, _generated(fields.get("usage"), choice["finish_reason"])
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as exc:
        raise GenerationFailedError("the engine's answer is not one of OpenAI's form") from exc


def _read_events(reader: ChoiceReader, events: list[Event]) -> tuple[list[Json], ProxyError | None]:
    """Return the choices up to the first event that is wrong, and what is wrong with it."""
    choices: list[Json] = []
    try:
        for event in events:
            choices += reader.read(event.fields)
    except (AttributeError, IndexError, KeyError, TypeError):
        return choices, GenerationFailedError("the engine's stream holds what is not one of OpenAI's form")
    return choices, None


def _generated(usage: Any, finish_reason: str | None) -> Generated:
    given = usage if isinstance(usage, dict) else {}
    prompt, generated = given.get("prompt_tokens"), given.get("completion_tokens")
    return Generated(
        text="",
        prompt_tokens=prompt if isinstance(prompt, int) else None,
        generated_tokens=generated if isinstance(generated, int) else None,
        finish_reason=finish_reason,
    )


def _usage(counted: Iterable[tuple[SequenceBody, Generated]]) -> Json:
    """Add the counts up: a prompt's once, however many choices it has."""
    prompts: dict[str | None, int] = {}
    generated = 0
    for body, counts in counted:
        prompts[body.prompt] = counts.prompt_tokens or 0
        generated += (counts.generated_tokens or 0) * len(body.indexes)
    prompt = sum(prompts.values())
    return {"prompt_tokens": prompt, "completion_tokens": generated, "total_tokens": prompt + generated}


async def _all(works: list[Coroutine[Any, Any, _T]]) -> list[_T]:
    """Await all; the first failure cancels the others."""
    if len(works) == 1:
        return [await works[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except* ProxyError as failures:
        first: BaseException = failures
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None
    return [task.result() for task in tasks]
