"""Streams of an engine, as the client's events, as the library's own types, and as the proxy's pieces."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest
from text_generation import errors as library

from fakes.engine_streams import Ending, Stream
from fakes.fake_engine import Behaviour, Failure, FakeEngine, fake_engine
from fakes.running_proxy import DEADLINE_S, wait_until
from scout_proxy.errors import (
    AnswerCutOffError,
    GenerationFailedError,
    InvalidRequestError,
    NotLoadedError,
    OverloadedError,
    ProxyError,
    UpstreamLostError,
)
from scout_proxy.upstreams.client_session import Session
from scout_proxy.upstreams.engine import Generated, GenerationParameters, Pieces
from scout_proxy.upstreams.tgi import TgiEngine, TgiEngines
from scout_proxy.upstreams.upstream import UpstreamClient

PARAMETERS = GenerationParameters(max_new_tokens=5, do_sample=True, seed=7)

_T = TypeVar("_T")


@pytest.fixture
def own_engine() -> Iterator[FakeEngine]:
    with fake_engine() as engine:
        yield engine


def with_engine(url: str, work: Callable[[TgiEngine], Coroutine[Any, Any, _T]]) -> _T:
    async def run() -> _T:
        engines = TgiEngines()
        try:
            return await work(engines.open(url))
        finally:
            await engines.close()

    return asyncio.run(run())


def pieces_of(engine: FakeEngine, parameters: GenerationParameters = PARAMETERS) -> list[Pieces]:
    async def read(tgi: TgiEngine) -> list[Pieces]:
        taken = Taken()
        await tgi.stream("hi", parameters, taken.take)
        return taken.pieces

    return with_engine(engine.url, read)


class Taken:
    """What came; the first `most` of it are enough."""

    def __init__(self, most: int | None = None) -> None:
        self.pieces: list[Pieces] = []
        self._most = most

    def take(self, pieces: Pieces) -> bool:
        assert pieces.texts
        self.pieces.append(pieces)
        return len(self.pieces) == self._most


def texts_of(pieces: list[Pieces]) -> list[str]:
    return [text for some in pieces for text in some.texts]


def test_a_stream_is_one_text_for_each_token_and_ends_with_what_was_generated(own_engine: FakeEngine) -> None:
    pieces = pieces_of(own_engine)

    assert texts_of(pieces) == [" one", " two", " three"]
    assert [some.generated for some in pieces[:-1]] == [None] * (len(pieces) - 1)
    assert pieces[-1].generated == Generated(
        text=" one two three", prompt_tokens=3, generated_tokens=3, finish_reason="length"
    )
    assert own_engine.seen.generations == [
        {
            "inputs": "hi",
            "parameters": {
                "return_full_text": False,
                "details": True,
                "max_new_tokens": 5,
                "do_sample": True,
                "seed": 7,
            },
        }
    ]


def test_pieces_that_came_together_are_given_together(own_engine: FakeEngine) -> None:
    own_engine.behaviour.stream = Stream(together=True)

    assert [some.texts for some in pieces_of(own_engine)] == [(" one", " two", " three")]


def test_special_tokens_are_no_text(own_engine: FakeEngine) -> None:
    own_engine.behaviour.stream = Stream(tokens=("<|begin|>", "a", "<|eot|>"))

    pieces = pieces_of(own_engine)

    assert texts_of(pieces) == ["", "a", ""]
    assert pieces[-1].generated is not None
    assert pieces[-1].generated.text == "a"


@pytest.mark.parametrize(
    ("tokens", "whole", "texts"),
    [
        (("a", "", "é"), None, ["a", "", "é"]),
        (("a\ufffd", "\ufffd"), "aé", ["a", "é"]),
        (("\ufffd", "b"), None, ["", "\ufffdb"]),
        (("a\ufffd",), None, ["a\ufffd"]),
        (("a", "\ufffd"), "", ["a", "\ufffd"]),
        (("a", "b"), "something else", ["a", "b"]),
        (("a", "b"), "abc", ["a", "bc"]),
        (("\ufffd", "<eot>"), "é", ["", "é"]),
    ],
)
def test_pieces_are_whole_characters_and_add_up(
    own_engine: FakeEngine, tokens: tuple[str, ...], whole: str | None, texts: list[str]
) -> None:
    own_engine.behaviour.stream = Stream(tokens=tokens, generated_text=whole)

    pieces = pieces_of(own_engine)

    assert texts_of(pieces) == texts
    assert pieces[-1].generated is not None
    assert pieces[-1].generated.text == "".join(texts)


FAILURES: list[tuple[Ending, type[ProxyError], str]] = [
    (Ending.GENERATION, GenerationFailedError, "CUDA out of memory"),
    (Ending.OVERLOADED, OverloadedError, "Too many requests"),
    (Ending.VALIDATION, InvalidRequestError, "`x` must be y"),
    (Ending.UNTYPED, GenerationFailedError, "something else"),
    (Ending.CLOSED, AnswerCutOffError, "ended too early"),
    (Ending.CUT_OFF, AnswerCutOffError, "ended before the generation did"),
    (Ending.HALF_AN_EVENT, AnswerCutOffError, "ended before the generation did"),
    (Ending.GARBAGE, GenerationFailedError, "not JSON"),
    (Ending.ODD_OBJECT, GenerationFailedError, "not a token"),
    (Ending.NO_OBJECT, GenerationFailedError, "not an event"),
    (Ending.ENDLESS, GenerationFailedError, "after the 5 tokens"),
    (Ending.ONE_GREAT_EVENT, GenerationFailedError, "too large"),
]


@pytest.mark.parametrize(("ending", "raised", "message"), FAILURES, ids=str)
@pytest.mark.parametrize("after", [0, 2])
def test_every_way_to_break_off_is_an_error(
    own_engine: FakeEngine, ending: Ending, raised: type[ProxyError], message: str, after: int
) -> None:
    own_engine.behaviour.stream = Stream(ending=ending, ends_after=after, delay_s=0.005)
    seen: list[str] = []

    async def read(tgi: TgiEngine) -> None:
        def take(pieces: Pieces) -> bool:
            assert pieces.texts
            seen.extend(pieces.texts)
            return False

        await tgi.stream("hi", PARAMETERS, take)

    with pytest.raises(raised, match=message):
        with_engine(own_engine.url, read)

    assert seen[:after] == [" one", " two"][:after]
    assert set(seen[after:]) <= {" more"}


@pytest.mark.parametrize(
    ("failure", "raised"),
    [
        (Failure.VALIDATION, InvalidRequestError),
        (Failure.OVERLOADED, OverloadedError),
        (Failure.UNHEALTHY, NotLoadedError),
        (Failure.CLOSED, UpstreamLostError),
        (Failure.NO_TEXT, GenerationFailedError),
        (Failure.NOT_HTTP, GenerationFailedError),
    ],
    ids=str,
)
def test_an_answer_that_is_no_stream_is_an_error(
    own_engine: FakeEngine, failure: Failure, raised: type[ProxyError]
) -> None:
    own_engine.behaviour = Behaviour(failure=failure)

    with pytest.raises(raised):
        pieces_of(own_engine)


def test_the_connection_is_used_again(own_engine: FakeEngine) -> None:
    async def read(tgi: TgiEngine) -> None:
        for _ in range(3):
            assert await tgi.stream("hi", PARAMETERS, Taken().take)

    with_engine(own_engine.url, read)

    assert own_engine.seen.connections == 1


def test_an_engine_that_does_not_end_its_answer_is_not_waited_for(own_engine: FakeEngine) -> None:
    own_engine.behaviour.stream = Stream(ending=Ending.NEVER_ENDS)

    assert texts_of(pieces_of(own_engine)) == [" one", " two", " three"]
    wait_until(lambda: own_engine.seen.cancelled == 1, "the connection is closed")


def test_having_enough_of_a_stream_stops_the_engine(own_engine: FakeEngine) -> None:
    own_engine.behaviour.stream = Stream(ending=Ending.SILENCE, ends_after=1)

    async def read(tgi: TgiEngine) -> None:
        assert await tgi.stream("hi", PARAMETERS, Taken(most=1).take) is None
        await asyncio.to_thread(wait_until, lambda: own_engine.seen.cancelled == 1, "the engine sees it")

    with_engine(own_engine.url, read)

    wait_until(lambda: own_engine.seen.in_flight == 0, "the engine is idle")


def test_cancelling_a_stream_stops_the_engine(own_engine: FakeEngine) -> None:
    own_engine.behaviour.stream = Stream(ending=Ending.SILENCE)

    async def read(tgi: TgiEngine) -> None:
        reading = asyncio.create_task(tgi.stream("hi", PARAMETERS, Taken().take))
        await asyncio.to_thread(wait_until, lambda: own_engine.seen.in_flight == 1, "the engine works")
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await asyncio.to_thread(wait_until, lambda: own_engine.seen.cancelled == 1, "the engine sees it")

    with_engine(own_engine.url, read)


def test_headers_are_passed_on(own_engine: FakeEngine) -> None:
    headers = {"traceparent": "00-1-2-01", "X-Request-ID": "mine"}

    async def ask(tgi: TgiEngine) -> None:
        await tgi.generate("hi", PARAMETERS, headers)
        assert await tgi.stream("hi", PARAMETERS, Taken().take, headers)

    with_engine(own_engine.url, ask)

    assert len(own_engine.seen.heads) == 2
    for head in own_engine.seen.heads:
        assert {"traceparent: 00-1-2-01", "X-Request-ID: mine"} <= set(head.split("\r\n"))


def with_client(url: str, work: Callable[[UpstreamClient], Coroutine[Any, Any, _T]]) -> _T:
    async def run() -> _T:
        async with Session() as session:
            return await work(UpstreamClient(url, session, timeout_s=DEADLINE_S))

    return asyncio.run(run())


def test_the_librarys_own_stream_works_on_the_pooled_session(own_engine: FakeEngine) -> None:
    async def twice(client: UpstreamClient) -> list[str]:
        found = []
        for _ in range(2):
            responses = [one async for one in client.generate_stream("hi", max_new_tokens=4, stop_sequences=["."])]
            assert responses[-1].details.finish_reason == "length"
            found.append("".join(one.token.text for one in responses))
            assert found[-1] == responses[-1].generated_text
        return found

    assert with_client(own_engine.url, twice) == [" one two three"] * 2
    assert own_engine.seen.connections == 1
    sent = own_engine.seen.generations[0]["parameters"]
    assert (sent["max_new_tokens"], sent["stop"], sent["details"]) == (4, ["."], True)


@pytest.mark.parametrize(
    ("ending", "raised"),
    [
        (Ending.GENERATION, library.GenerationError),
        (Ending.OVERLOADED, library.OverloadedError),
        (Ending.VALIDATION, library.ValidationError),
        (Ending.UNTYPED, library.UnknownError),
        (Ending.CUT_OFF, library.IncompleteGenerationError),
        (Ending.CLOSED, library.IncompleteGenerationError),
        (Ending.GARBAGE, library.UnknownError),
        (Ending.ODD_OBJECT, library.UnknownError),
    ],
    ids=str,
)
def test_the_librarys_own_stream_raises_its_errors(
    own_engine: FakeEngine, ending: Ending, raised: type[Exception]
) -> None:
    own_engine.behaviour.stream = Stream(ending=ending, ends_after=1)

    async def read(client: UpstreamClient) -> None:
        async for _ in client.generate_stream("hi"):
            pass

    with pytest.raises(raised):
        with_client(own_engine.url, read)


def test_the_librarys_checks_of_a_stream_come_first(own_engine: FakeEngine) -> None:
    async def read(client: UpstreamClient) -> None:
        await anext(aiter(client.generate_stream("hi", temperature=0)))

    with pytest.raises(library.ValidationError, match="temperature"):
        with_client(own_engine.url, read)

    assert own_engine.seen.generations == []


MESSAGES = [{"role": "user", "content": "hi"}]


def test_the_librarys_own_chat_works_on_the_pooled_session(own_engine: FakeEngine) -> None:
    async def chat(client: UpstreamClient) -> tuple[Any, list[Any]]:
        stream = await client.chat(MESSAGES, max_tokens=4, stream=True)
        return await client.chat(MESSAGES, max_tokens=4, seed=7), [chunk async for chunk in stream]

    whole, chunks = with_client(own_engine.url, chat)

    assert whole.choices[0].message.content == " one two three"
    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == " one two three"
    assert own_engine.seen.connections == 1
    sent = own_engine.seen.generations[0]
    assert (sent["model"], sent["max_tokens"], sent["seed"], sent["messages"]) == ("tgi", 4, 7, MESSAGES)


@pytest.mark.parametrize(
    ("ending", "raised"),
    [
        (Ending.GENERATION, library.GenerationError),
        (Ending.OVERLOADED, library.OverloadedError),
        (Ending.VALIDATION, library.ValidationError),
        (Ending.CUT_OFF, library.IncompleteGenerationError),
        (Ending.ODD_OBJECT, library.UnknownError),
    ],
    ids=str,
)
def test_the_librarys_own_chat_raises_its_errors(
    own_engine: FakeEngine, ending: Ending, raised: type[Exception]
) -> None:
    own_engine.behaviour.stream = Stream(ending=ending, ends_after=1)

    async def read(client: UpstreamClient) -> None:
        async for _ in await client.chat(MESSAGES, stream=True):
            pass

    with pytest.raises(raised):
        with_client(own_engine.url, read)
