"""The service by itself, for what no real client can be made to do at the right moment."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import cast

import pytest
from starlette.types import Message

from fakes.own_time import run_in_own_time
from fakes.running_proxy import route_table
from scout_proxy.cache.answer_cache import AnswerCache
from scout_proxy.cache.cache_directives import NONE
from scout_proxy.cache.flight import Texts
from scout_proxy.cache.memory_store import MemoryStore
from scout_proxy.caller import Caller
from scout_proxy.errors import ClientGoneError
from scout_proxy.generate.generate_service import Ask, GenerateService
from scout_proxy.generate.generation import Generator, Tell, Wanted
from scout_proxy.http.outgoing import Outgoing
from scout_proxy.observation.metrics import Metrics
from scout_proxy.route_table import Cache, Limits, write_route_table
from scout_proxy.route_watcher import RouteWatcher
from scout_proxy.upstreams.engine import Engines
from scout_proxy.upstreams.upstream_pool import UpstreamPool


class ScriptedGenerator:
    """Says one piece at once, and the rest when `goes_on` is set."""

    def __init__(self) -> None:
        self.goes_on = asyncio.Event()
        self.under_way = 0

    async def generate(self, wanted: Wanted, tell: Tell | None = None) -> Texts:
        assert wanted.request.prompt == "p"
        assert tell is not None
        self.under_way += 1
        try:
            tell(0, "one")
            await self.goes_on.wait()
            tell(0, " two")
            return ("one two",)
        finally:
            self.under_way -= 1


class Reader:
    """The server's side of a client that takes so many messages and then nothing more until it is let."""

    def __init__(self, takes: int) -> None:
        self.takes = takes
        self.taken: list[Message] = []
        self.takes_more = asyncio.Event()
        self.was_given_up = False
        self.leave: Callable[[], None] = lambda: None

    async def send(self, message: Message) -> None:
        if len(self.taken) >= self.takes:
            await self.takes_more.wait()
        self.taken.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.taken)

    def on_leave(self, leave: Callable[[], None]) -> None:
        self.leave = leave

    def take_body(self) -> None: ...

    def write_whole(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        del status, headers, body
        return False

    def write_chunk(self, data: bytes) -> bool:
        assert data
        return False

    def give_up(self) -> None:
        self.was_given_up = True


class Served:
    def __init__(self, folder: Path, *, keep_alive_s: float = 3600, **limits: float) -> None:
        async def load() -> Engines:
            raise NotImplementedError

        table = route_table(limits=Limits.model_validate(limits), cache=Cache())
        write_route_table(folder / "routes.json", table)
        self.cache = AnswerCache(MemoryStore(Cache()))
        self.cache.apply(table)
        self.generator = ScriptedGenerator()
        self.service = GenerateService(
            RouteWatcher(folder / "routes.json"),
            self.cache,
            cast("Generator", self.generator),
            Metrics(UpstreamPool(load)),
            keep_alive_s=keep_alive_s,
        )

    async def stream_to(self, reader: Reader) -> None:
        ask = Ask(
            body=b'{"prompt": "p", "stream": true}',
            caller=Caller(arrived_s=monotonic()),
            directives=NONE,
            connection=reader,
        )
        await self.service.answer(ask, Outgoing(reader.send, reader))


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await story()

    asyncio.run(bounded())


async def until(condition: Callable[[], object]) -> None:
    while True:
        if condition():
            return
        await asyncio.sleep(0)


@pytest.mark.parametrize("takes", [1, 2])
def test_a_client_that_takes_nothing_is_given_up_after_its_deadline(tmp_path: Path, takes: int) -> None:
    async def story() -> None:
        served, reader = Served(tmp_path, deadline_s=600, body_timeout_s=30), Reader(takes)
        with pytest.raises(ClientGoneError):
            await served.stream_to(reader)
        await asyncio.sleep(0)

        assert (reader.was_given_up, served.generator.under_way, len(reader.taken)) == (True, 0, takes)

    run_in_own_time(story())


def test_a_stored_answer_waits_no_longer_for_a_client_that_takes_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        served = Served(tmp_path, deadline_s=600, body_timeout_s=30)
        served.generator.goes_on.set()
        await served.stream_to(Reader(99))
        reader = Reader(2)
        with pytest.raises(ClientGoneError):
            await served.stream_to(reader)
        assert reader.was_given_up

    run_in_own_time(story())


def test_a_client_that_lags_gets_all_of_it_when_it_takes_more(tmp_path: Path) -> None:
    async def story() -> None:
        served, reader = Served(tmp_path), Reader(1)
        served.generator.goes_on.set()
        streaming = asyncio.create_task(served.stream_to(reader))
        await until(lambda: not served.generator.under_way and reader.taken)
        reader.takes_more.set()
        await streaming

        assert reader.body.startswith(
            b'data: {"sequence":0,"text":"one"}\n\ndata: {"sequence":0,"text":" two"}\n\nevent: done\n'
        )

    run(story)


def test_a_client_that_goes_away_while_it_lags_frees_the_engine(tmp_path: Path) -> None:
    async def story() -> None:
        served, reader = Served(tmp_path), Reader(1)
        streaming = asyncio.create_task(served.stream_to(reader))
        await until(lambda: reader.taken)
        # A server lets a write return when the client is gone.
        reader.leave()
        reader.takes_more.set()
        with pytest.raises(ClientGoneError):
            await streaming
        await asyncio.sleep(0)
        assert (served.generator.under_way, len(served.cache.memory)) == (0, 0)

    run(story)


def test_a_silent_stream_is_kept_alive(tmp_path: Path) -> None:
    async def story() -> None:
        served, reader = Served(tmp_path, keep_alive_s=0.01), Reader(99)
        streaming = asyncio.create_task(served.stream_to(reader))
        await until(lambda: reader.body.count(b": keep-alive\n\n") >= 3)
        served.generator.goes_on.set()
        await streaming
        assert reader.body.startswith(b'data: {"sequence":0,"text":"one"}\n\n: keep-alive\n\n')
        assert b"event: done" in reader.body

    run(story)


def test_a_stream_that_the_server_ends_says_so(tmp_path: Path) -> None:
    async def story() -> None:
        served, reader = Served(tmp_path), Reader(99)
        streaming = asyncio.create_task(served.stream_to(reader))
        await until(lambda: reader.body)
        streaming.cancel()
        await streaming
        assert reader.body.endswith(b'event: error\ndata: {"detail":"Model or tokenizer not loaded"}\n\n')

    run(story)
