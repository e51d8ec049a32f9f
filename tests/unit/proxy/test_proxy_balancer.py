"""The balancer by itself, for what no route of today can show."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from time import monotonic

import pytest

from fakes.running_proxy import DEADLINE_S, route_table
from scout_proxy.caller import Caller
from scout_proxy.errors import AnswerCutOffError
from scout_proxy.route_table import Hold, UpstreamState
from scout_proxy.upstreams.balancer import Attempt, Balancer
from scout_proxy.upstreams.engine import (
    Engine,
    EngineFacts,
    Engines,
    Event,
    Forwarded,
    Generated,
    GenerationParameters,
    Pieces,
)
from scout_proxy.upstreams.observed_upstream import ObservedUpstream
from scout_proxy.upstreams.upstream_pool import UpstreamPool


class WorkingEngine:
    async def probe(self) -> EngineFacts:
        return EngineFacts(max_input_tokens=100, max_total_tokens=1000)

    async def count_tokens(self, text: str) -> int:
        return len(text)

    async def generate(
        self, text: str, parameters: GenerationParameters, headers: Mapping[str, str] | None = None
    ) -> Generated:
        assert headers is None
        return Generated(text=text * parameters.max_new_tokens)

    async def stream(
        self,
        text: str,
        parameters: GenerationParameters,
        take: Callable[[Pieces], bool],
        headers: Mapping[str, str] | None = None,
    ) -> Generated | None:
        generated = await self.generate(text, parameters, headers)
        take(Pieces(texts=(generated.text,), generated=generated))
        return generated

    async def forward(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Forwarded:
        assert headers is None
        return Forwarded(path.encode() + body, {})

    async def forward_stream(
        self, path: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[list[Event], None]:
        yield [Event((await self.forward(path, body, headers)).body, {})]


class WorkingEngines:
    def open(self, url: str) -> Engine:
        assert url
        return WorkingEngine()

    async def close(self) -> None:
        pass


async def load() -> Engines:
    return WorkingEngines()


@pytest.mark.parametrize(("sends", "tried"), [(True, 1), (False, 2)])
def test_work_that_has_sent_something_to_its_client_is_not_done_again(*, sends: bool, tried: int) -> None:
    asked: list[str] = []
    retried: list[str] = []

    async def work(attempt: Attempt) -> None:
        asked.append(attempt.upstream)
        attempt.has_sent = sends
        raise AnswerCutOffError("the connection ended")

    async def run() -> None:
        async with serving_pair(load) as pool:
            balancer = Balancer(pool, on_retry=lambda upstream, _: retried.append(upstream))
            with pytest.raises(AnswerCutOffError):
                await balancer.run(work, Caller(arrived_s=monotonic()))

    asyncio.run(run())

    assert len(set(asked)) == len(asked) == tried
    assert retried == asked[:-1]


class StickingEngine(WorkingEngine):
    """Answers nothing while it sticks."""

    def __init__(self) -> None:
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def probe(self) -> EngineFacts:
        await self.goes_on.wait()
        return await super().probe()

    async def generate(
        self, text: str, parameters: GenerationParameters, headers: Mapping[str, str] | None = None
    ) -> Generated:
        await self.goes_on.wait()
        return await super().generate(text, parameters, headers)


class OneSticks(WorkingEngines):
    def __init__(self, sticking: StickingEngine) -> None:
        self._sticking = sticking

    def open(self, url: str) -> Engine:
        return self._sticking if url == "http://a" else WorkingEngine()


def test_an_engine_that_hangs_with_requests_is_avoided_until_it_answers() -> None:
    async def run() -> None:
        engine = StickingEngine()

        async def load_both() -> Engines:
            return OneSticks(engine)

        async with serving_pair(load_both, probe_timeout_s=0.01) as pool, asyncio.timeout(DEADLINE_S):
            sticking, working = pool.upstreams
            balancer = Balancer(pool, on_retry=lambda *_: None)
            engine.goes_on.clear()
            stuck = asyncio.create_task(generate_at(balancer, working))
            await until(lambda: sticking.in_flight == 1)
            sticking.declare(sticking.declared.model_copy(update={"state": UpstreamState.RUNNING}))
            await until(lambda: sticking.is_silent)
            assert sticking.reason == "no answer to a probe within 0.01 s, with 1 requests in flight"
            with busy(working), busy(working):
                assert pool.pick() is working
                assert pool.pick(seen_since={working: working.sightings}) is sticking

            engine.goes_on.set()

            await stuck
            with busy(working):
                assert pool.pick() is sticking
            (state, _) = pool.upstreams
            assert (state.is_silent, state.reason, state.in_flight) == (False, None, 0)

    asyncio.run(run())


@contextmanager
def busy(upstream: ObservedUpstream) -> Iterator[None]:
    upstream.in_flight += 1
    upstream.last_used_s = monotonic()
    yield
    upstream.in_flight -= 1


async def generate_at(balancer: Balancer, other: ObservedUpstream) -> None:
    """Generate at the other one."""
    parameters = GenerationParameters(max_new_tokens=1, do_sample=False)
    with busy(other):
        await balancer.run(lambda one: one.engine.generate("x", parameters), Caller(arrived_s=monotonic()))


async def until(condition: Callable[[], bool]) -> None:
    while True:
        await asyncio.sleep(0.001)
        if condition():
            return


@asynccontextmanager
async def serving_pair(
    load_engines: Callable[[], Awaitable[Engines]], probe_timeout_s: float = 5
) -> AsyncIterator[UpstreamPool]:
    """Give a pool of two upstreams that both serve."""
    pool = UpstreamPool(load_engines, probe_timeout_s=probe_timeout_s)
    try:
        table = route_table("http://a", "http://b", hold=Hold(max_wait_s=5))
        pool.apply(table)
        await until(lambda: all(one.takes_requests for one in pool.upstreams))
        pool.apply(table.model_copy(update={"hold": None}))
        yield pool
    finally:
        await pool.close()
