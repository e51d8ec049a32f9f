import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from text_generation import errors as library

from fakes.fake_engine import Behaviour, Failure, FakeEngine, fake_engine
from fakes.running_proxy import DEADLINE_S
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
from scout_proxy.upstreams.engine import EngineFacts, GenerationParameters
from scout_proxy.upstreams.tgi import TgiEngine, TgiEngines
from scout_proxy.upstreams.upstream import UpstreamClient
from scout_proxy.upstreams.upstream_errors import UnreachableError

PARAMETERS = GenerationParameters(max_new_tokens=5, do_sample=True, temperature=0.5, seed=7)


def ask_client(url: str, call: Callable[[UpstreamClient], Awaitable[Any]], timeout_s: float | None = DEADLINE_S) -> Any:
    async def run() -> Any:
        async with Session() as session:
            return await call(UpstreamClient(url, session, timeout_s=timeout_s))

    return asyncio.run(run())


def ask_engine(url: str, call: Callable[[TgiEngine], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        engines = TgiEngines()
        try:
            return await call(engines.open(url))
        finally:
            await engines.close()

    return asyncio.run(run())


@pytest.fixture
def own_engine() -> Any:
    with fake_engine() as engine:
        yield engine


def test_the_lean_call_sends_the_wire_form_without_details(own_engine: FakeEngine) -> None:
    generated = ask_engine(own_engine.url, lambda engine: engine.generate("hi", PARAMETERS))

    assert generated.text == "text 7"
    assert (generated.prompt_tokens, generated.generated_tokens) == (3, 5)
    assert own_engine.seen.generations == [
        {
            "inputs": "hi",
            "parameters": {
                "max_new_tokens": 5,
                "do_sample": True,
                "temperature": 0.5,
                "seed": 7,
                "return_full_text": False,
                "details": False,
            },
        }
    ]


def test_the_librarys_own_method_works_on_the_pooled_session(own_engine: FakeEngine) -> None:
    details = {"finish_reason": "length", "generated_tokens": 1, "seed": 1, "prefill": [], "tokens": []}
    own_engine.behaviour.details = details

    async def twice(client: UpstreamClient) -> list[str]:
        return [
            (await client.generate("hi", do_sample=True, max_new_tokens=4, stop_sequences=["."])).generated_text
            for _ in range(2)
        ]

    assert ask_client(own_engine.url, twice) == ["text None", "text None"]
    assert own_engine.seen.connections == 1
    sent = own_engine.seen.generations[0]["parameters"]
    assert (sent["do_sample"], sent["max_new_tokens"], sent["stop"], sent["details"]) == (True, 4, ["."], True)


def test_the_librarys_checks_come_before_anything_is_sent(own_engine: FakeEngine) -> None:
    with pytest.raises(library.ValidationError, match="temperature"):
        ask_client(own_engine.url, lambda client: client.generate("hi", temperature=0))

    assert own_engine.seen.generations == []


def test_an_answer_without_details_is_not_a_library_response(own_engine: FakeEngine) -> None:
    with pytest.raises(library.UnknownError, match="not a Response"):
        ask_client(own_engine.url, lambda client: client.generate("hi"))


FAILURES: list[tuple[Failure, type[Exception], type[ProxyError], str]] = [
    (Failure.GENERATION, library.GenerationError, GenerationFailedError, "CUDA out of memory"),
    (Failure.OVERLOADED, library.OverloadedError, OverloadedError, "Too many requests"),
    (Failure.VALIDATION, library.ValidationError, InvalidRequestError, "`x` must be y"),
    (Failure.PLAIN_422, library.ValidationError, InvalidRequestError, "Failed to deserialize"),
    (Failure.PLAIN_413, library.ValidationError, InvalidRequestError, "length limit exceeded"),
    (Failure.UNAUTHORIZED, library.UnknownError, GenerationFailedError, "answered 401"),
    (Failure.UNHEALTHY, library.ShardNotReadyError, NotLoadedError, "Model or tokenizer not loaded"),
    (Failure.UNTYPED, library.UnknownError, GenerationFailedError, "answered 500"),
    (Failure.GARBAGE, library.UnknownError, GenerationFailedError, "not JSON"),
    (Failure.NOT_HTTP, library.UnknownError, GenerationFailedError, "not HTTP"),
    (Failure.TRUNCATED, library.IncompleteGenerationError, AnswerCutOffError, "ended too early"),
    (Failure.CLOSED, library.ShardNotReadyError, UpstreamLostError, "Model or tokenizer not loaded"),
    (Failure.ENDLESS, library.UnknownError, GenerationFailedError, "larger than"),
]


@pytest.mark.parametrize(("failure", "raised", "translated", "text"), FAILURES, ids=str)
def test_every_failure_is_a_library_error_and_one_of_ours(
    own_engine: FakeEngine, failure: Failure, raised: type[Exception], translated: type[ProxyError], text: str
) -> None:
    own_engine.behaviour = Behaviour(failure=failure)

    with pytest.raises(raised):
        ask_client(own_engine.url, lambda client: client.post_generate("hi", {}))
    with pytest.raises(translated, match=text):
        ask_engine(own_engine.url, lambda engine: engine.generate("hi", PARAMETERS))


@pytest.mark.parametrize("count", ["9" * 5_000, "-1", "1.5", "", "\u00b2"])
def test_a_count_that_is_none_is_left_out(own_engine: FakeEngine, count: str) -> None:
    own_engine.behaviour = Behaviour(counts=(count, "5"))

    generated = ask_engine(own_engine.url, lambda engine: engine.generate("hi", PARAMETERS))

    assert (generated.text, generated.prompt_tokens, generated.generated_tokens) == ("text 7", None, 5)


def test_an_answer_without_text_is_a_failed_generation(own_engine: FakeEngine) -> None:
    own_engine.behaviour = Behaviour(failure=Failure.NO_TEXT)

    with pytest.raises(GenerationFailedError, match="no generated_text"):
        ask_engine(own_engine.url, lambda engine: engine.generate("hi", PARAMETERS))


def test_a_refused_connection_is_a_lost_upstream(own_engine: FakeEngine) -> None:
    own_engine.kill()

    with pytest.raises(library.ShardNotReadyError):
        ask_client(own_engine.url, lambda client: client.generate("hi"))
    with pytest.raises(UpstreamLostError) as caught:
        ask_engine(own_engine.url, lambda engine: engine.probe())
    assert own_engine.url in caught.value.log_reason


class MovingHost:
    """Knows one name, at the address of the moment; none where there is no address."""

    def __init__(self, address: str | None) -> None:
        self.address = address

    async def resolve(self, host: str, port: int) -> list[str]:
        if self.address is None:
            raise OSError(f"{host} is not known, at port {port}")
        return [self.address]


def test_a_name_that_does_not_resolve_is_an_unreachable_engine() -> None:
    async def run() -> None:
        async with Session(resolve=MovingHost(None).resolve) as session:
            await UpstreamClient("http://engine:8080", session).get_info()

    with pytest.raises(UnreachableError, match="engine:8080 cannot be reached"):
        asyncio.run(run())


def test_the_old_address_of_a_name_is_soon_forgotten(own_engine: FakeEngine) -> None:
    # Nobody listens at this one; Linux answers for the whole of 127.0.0.0/8.
    resolver = MovingHost("127.0.0.9")

    async def run() -> None:
        async with Session(resolve=resolver.resolve) as session:
            client = UpstreamClient(f"http://engine:{own_engine.port}", session)
            with pytest.raises(UnreachableError):
                await client.get_info()
            resolver.address = "127.0.0.1"
            async with asyncio.timeout(30):
                await answered(client)

    asyncio.run(run())


async def answered(client: UpstreamClient) -> None:
    """Ask until there is an answer."""
    while True:
        try:
            await client.get_info()
        except UnreachableError:
            await asyncio.sleep(0.01)
        else:
            return


def test_a_call_that_takes_too_long_is_a_timeout(own_engine: FakeEngine) -> None:
    own_engine.behaviour = Behaviour(delay_s=5)

    with pytest.raises(library.ShardTimeoutError, match="did not answer in time"):
        ask_client(own_engine.url, lambda client: client.post_generate("hi", {}), timeout_s=0.05)


def test_tokens_are_counted_whatever_they_contain(own_engine: FakeEngine) -> None:
    text = 'a "id": [ "id" id: \\"id\\": ] ' * 3_000

    count = ask_engine(own_engine.url, lambda engine: engine.count_tokens(text))

    assert count == 1 + len(text.split())


def test_the_facts_come_from_info(own_engine: FakeEngine) -> None:
    assert ask_engine(own_engine.url, lambda engine: engine.probe()) == EngineFacts(
        max_input_tokens=1023,
        max_total_tokens=1024,
        max_stop_sequences=4,
        max_concurrent_requests=128,
        model_id="fake/model",
        version="3.3.6-dev0",
    )
