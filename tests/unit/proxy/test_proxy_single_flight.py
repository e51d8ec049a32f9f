"""Identical requests at once are generated once, and whoever leaves leaves alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fakes.engine_streams import Ending, Stream
from fakes.engine_waits import Gate
from fakes.fake_engine import Behaviour, Failure, FakeEngine
from fakes.generate_events import read_events, told_texts
from fakes.raw_http import RawAnswer, RawConnection, ask_at_once, generate_request
from fakes.running_proxy import RunningProxy, wait_until
from scout_proxy.route_table import Cache, CachePolicy, Limits

WHOLE = generate_request(b'{"prompt": "p"}')
STREAM = generate_request(b'{"prompt": "p", "stream": true}')


@pytest.fixture
def cached(proxy: RunningProxy) -> RunningProxy:
    proxy.configure(cache=Cache())
    return proxy


@contextmanager
def crowd(proxy: RunningProxy, *requests: bytes) -> Iterator[list[RawConnection]]:
    """Send each request on a connection of its own, the first one first, and wait until all share its generation."""
    before, misses = coalesced(proxy), missed(proxy)
    connections = [RawConnection(proxy.port) for _ in requests]
    try:
        connections[0].send(requests[0])
        wait_until(lambda: missed(proxy) == misses + 1, "the first one is a miss")
        for connection, request in zip(connections[1:], requests[1:], strict=True):
            connection.send(request)
        wait_until(lambda: coalesced(proxy) == before + len(requests) - 1, "all share one generation")
        yield connections
    finally:
        for connection in connections:
            connection.close()


def coalesced(proxy: RunningProxy) -> int:
    return int(proxy.status()["cache"]["coalesced"])


def missed(proxy: RunningProxy) -> int:
    return int(proxy.status()["cache"]["misses"])


def entries(proxy: RunningProxy) -> int:
    return int(proxy.status()["cache"]["entries"])


def answers(connections: list[RawConnection]) -> list[RawAnswer]:
    return [connection.answer() for connection in connections]


def test_two_hundred_at_once_are_generated_once(cached: RunningProxy, engine: FakeEngine, gate: Gate) -> None:
    engine.behaviour = Behaviour(gate=gate)
    with crowd(cached, *[WHOLE] * 200) as waiting:
        gate.open()
        given = answers(waiting)

    assert len(engine.seen.generations) == 1
    assert {answer.status for answer in given} == {200}
    assert len({answer.body for answer in given}) == 1
    outcomes = [answer.headers["x-cache"] for answer in given]
    assert (outcomes.count("MISS"), outcomes.count("COALESCED")) == (1, 199)
    assert cached.generate(prompt="p").headers["X-Cache"] == "HIT"


def test_all_but_one_leave_and_the_last_one_gets_its_answer(
    cached: RunningProxy, engine: FakeEngine, gate: Gate
) -> None:
    engine.behaviour = Behaviour(gate=gate)
    with crowd(cached, *[WHOLE] * 50) as waiting:
        wait_until(lambda: engine.seen.in_flight == 1, "the engine works")
        for connection in waiting[:-1]:
            connection.close()
        wait_until(lambda: cached.samples()["scout_proxy_requests_in_flight",] == 2, "all the others are gone")
        assert engine.seen.in_flight == 1
        gate.open()
        answer = waiting[-1].answer()

    assert (answer.status, answer.headers["x-cache"]) == (200, "COALESCED")
    assert (engine.seen.cancelled, len(engine.seen.generations), entries(cached)) == (0, 1, 1)


@pytest.mark.parametrize("request_", [WHOLE, STREAM])
def test_all_leave_and_the_engine_is_idle(
    cached: RunningProxy, engine: FakeEngine, gate: Gate, request_: bytes
) -> None:
    engine.behaviour = Behaviour(gate=gate)
    with crowd(cached, *[request_] * 50):
        wait_until(lambda: engine.seen.in_flight == 1, "the engine works")
    wait_until(lambda: engine.seen.in_flight == 0, "the engine is idle")

    assert engine.seen.cancelled == 1
    wait_until(lambda: cached.upstream("engine-0")["in_flight"] == 0, "its place is free")
    assert entries(cached) == 0
    gate.open()
    assert ask_at_once(cached.port, WHOLE).headers["x-cache"] == "MISS"


def test_a_failure_fails_all_and_the_next_request_is_generated_anew(
    cached: RunningProxy, engine: FakeEngine, gate: Gate
) -> None:
    engine.behaviour = Behaviour(gate=gate, failure=Failure.GENERATION, proof_failure=Failure.NONE)
    with crowd(cached, *[WHOLE] * 5) as waiting:
        gate.open()
        failed = answers(waiting)
    engine.behaviour = Behaviour()

    assert {answer.status for answer in failed} == {500}
    assert len({answer.body for answer in failed}) == len(engine.seen.generations) == 1
    assert ask_at_once(cached.port, WHOLE).headers["x-cache"] == "MISS"


def test_the_deadline_of_one_that_joined_is_its_own(cached: RunningProxy, engine: FakeEngine, gate: Gate) -> None:
    engine.behaviour = Behaviour(gate=gate)
    with RawConnection(cached.port) as first:
        first.send(WHOLE)
        wait_until(lambda: engine.seen.in_flight == 1, "the first one is generated")
        cached.configure(limits=Limits(deadline_s=0.05))
        late = ask_at_once(cached.port, WHOLE)
        gate.open()
        whole = first.answer()

    assert (late.status, whole.status, whole.headers["x-cache"]) == (504, 200, "MISS")


def test_a_stream_joins_a_stream_in_its_middle_and_gets_all_of_it(
    cached: RunningProxy, engine: FakeEngine, gate: Gate
) -> None:
    engine.behaviour = Behaviour(gate=gate, stream=Stream(tokens=("one", " two", " three", " four")))
    with RawConnection(cached.port) as first, RawConnection(cached.port) as second:
        first.send(STREAM)
        gate.let(2)
        heads = [first.head()]
        begun = first.chunks_until(b" two")
        second.send(STREAM)
        heads.append(second.head())
        caught_up = second.chunks_until(b" two")
        gate.open()
        ends = [b"".join(iter(connection.chunk, b"")) for connection in (first, second)]

    assert [b"x-cache: MISS" in heads[0], b"x-cache: COALESCED" in heads[1]] == [True, True]
    assert begun == caught_up
    assert told_texts(read_events(begun)) == {0: "one two"}
    assert told_texts(read_events(ends[0])) == told_texts(read_events(ends[1])) == {0: " three four"}
    assert read_events(ends[0])[-1] == read_events(ends[1])[-1]
    assert len(engine.seen.generations) == 1


def test_a_whole_answer_is_taken_from_a_stream_under_way(cached: RunningProxy, engine: FakeEngine, gate: Gate) -> None:
    engine.behaviour = Behaviour(gate=gate, stream=Stream(tokens=("one", " two")))
    with crowd(cached, STREAM, WHOLE, STREAM) as (_, whole, last):
        gate.open()
        answer, stream = whole.answer(), last.answer()

    assert answer.json()["generated_texts"] == ["one two"]
    assert b'"generated_texts":["one two"]' in stream.body
    assert len(engine.seen.generations) == 1


def test_a_stream_that_joins_a_whole_generation_gets_its_text_too(
    cached: RunningProxy, engine: FakeEngine, gate: Gate
) -> None:
    engine.behaviour = Behaviour(gate=gate, text=lambda _: "all at once")
    with crowd(cached, WHOLE, STREAM) as (_, stream):
        gate.open()
        answer = stream.answer()

    assert answer.body.startswith(b'data: {"sequence":0,"text":"all at once"}\n\nevent: done\n')
    assert (answer.status, answer.headers["x-cache"]) == (200, "COALESCED")


def test_the_first_of_a_stream_leaves_and_the_others_go_on(
    cached: RunningProxy, engine: FakeEngine, gate: Gate
) -> None:
    engine.behaviour = Behaviour(gate=gate, stream=Stream(tokens=("one", " two")))
    with crowd(cached, STREAM, STREAM) as (first, second):
        gate.let(1)
        first.head()
        first.close()
        wait_until(lambda: cached.samples()["scout_proxy_requests_in_flight",] == 2, "the first one is gone")
        gate.open()
        answer = second.answer()

    assert b'"generated_texts":["one two"]' in answer.body
    assert engine.seen.cancelled == 0


def test_a_stream_that_breaks_off_tells_everyone(cached: RunningProxy, engine: FakeEngine, gate: Gate) -> None:
    engine.behaviour = Behaviour(gate=gate, stream=Stream(ending=Ending.GENERATION, ends_after=1))
    with crowd(cached, STREAM, STREAM, WHOLE) as waiting:
        gate.open()
        *streams, whole = answers(waiting)

    assert whole.status == 500
    assert {stream.status for stream in streams} == {200}
    assert all(b"event: error\ndata: " in stream.body for stream in streams)


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        (Cache(policy=CachePolicy.OFF), b'"temperature": 0'),
        (Cache(policy=CachePolicy.DETERMINISTIC), b'"temperature": 0.5'),
    ],
)
def test_what_may_not_be_shared_is_generated_for_each(
    proxy: RunningProxy, engine: FakeEngine, gate: Gate, settings: Cache, fields: bytes
) -> None:
    proxy.configure(cache=settings)
    engine.behaviour = Behaviour(gate=gate)
    request = generate_request(b'{"prompt": "p", %b}' % fields)
    with RawConnection(proxy.port) as first, RawConnection(proxy.port) as second:
        first.send(request)
        second.send(request)
        wait_until(lambda: engine.seen.in_flight == 2, "both are generated")
        gate.open()
        assert [one.answer().headers["x-cache"] for one in (first, second)] == ["BYPASS", "BYPASS"]


@pytest.mark.parametrize("said", ["no-cache", "no-store"])
def test_one_that_wants_a_fresh_answer_shares_none(
    cached: RunningProxy, engine: FakeEngine, gate: Gate, said: str
) -> None:
    engine.behaviour = Behaviour(gate=gate)
    with RawConnection(cached.port) as first, RawConnection(cached.port) as fresh, RawConnection(cached.port) as last:
        first.send(WHOLE)
        wait_until(lambda: engine.seen.in_flight == 1, "the first one is generated")
        fresh.send(generate_request(b'{"prompt": "p"}', f"Cache-Control: {said}"))
        wait_until(lambda: engine.seen.in_flight == 2, "the second one is generated for itself")
        before = coalesced(cached)
        last.send(WHOLE)
        wait_until(lambda: coalesced(cached) == before + 1, "the third one shares the first one's")
        gate.open()
        given = answers([first, fresh, last])

    assert [answer.headers["x-cache"] for answer in given] == ["MISS", "BYPASS", "COALESCED"]
    assert given[0].body == given[2].body != given[1].body
