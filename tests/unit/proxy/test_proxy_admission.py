"""The queue in front of an engine's places, as its clients see it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from fakes.api_keys import ALICE, BOB, api_keys
from fakes.engine_waits import Gate
from fakes.fake_engine import Behaviour, Failure, FakeEngine, fake_engine
from fakes.raw_http import RawConnection, ask_at_once, generate_request
from fakes.running_proxy import RunningProxy, wait_until
from scout_proxy.route_table import Hold, Limits, Upstream, UpstreamState

PLAIN = generate_request(b'{"prompt": "p"}')


def narrow(proxy: RunningProxy, engine: FakeEngine, gate: Gate, places: int, **table: Any) -> None:
    """Have an engine with so many places, whose answers wait at the gate."""
    engine.behaviour = Behaviour(gate=gate, max_concurrent_requests=places)
    proxy.configure(upstreams=(Upstream(id="narrow", url=engine.url, state=UpstreamState.RUNNING),), **table)
    proxy.wait_until_observed(narrow="serving")


@contextmanager
def asking(proxy: RunningProxy, *requests: bytes) -> Iterator[list[RawConnection]]:
    """Send each request on a connection of its own, each when the one before it has its place or its place in line."""
    with ExitStack() as opened:
        connections = []
        for count, request in enumerate(requests, 1):
            connection = opened.enter_context(RawConnection(proxy.port))
            connection.send(request)
            wait_for(proxy, count)
            connections.append(connection)
        yield connections


def wait_for(proxy: RunningProxy, count: int) -> None:
    wait_until(lambda: known(proxy) == count, f"{count} have come")


def known(proxy: RunningProxy) -> int:
    status = proxy.status()
    return int(status["in_flight"] + status["queue"]["waiting"] + status["queue"]["held"])


def waiting(proxy: RunningProxy) -> int:
    return int(proxy.status()["queue"]["waiting"])


def statuses(connections: list[RawConnection]) -> list[int]:
    return [connection.answer().status for connection in connections]


def test_an_engine_gets_as_many_as_it_takes_and_the_others_wait(
    proxy: RunningProxy, engine: FakeEngine, gate: Gate
) -> None:
    narrow(proxy, engine, gate, 2, limits=Limits(max_waiting=50))
    with asking(proxy, *[PLAIN] * 6) as connections:
        wait_until(lambda: engine.seen.in_flight == 2, "two are at the engine")
        assert proxy.status()["queue"] == {"waiting": 4, "held": 0, "max_waiting": 50}
        gate.open()
        answers = [connection.answer() for connection in connections]

    assert [answer.status for answer in answers] == [200] * 6
    assert engine.seen.most_in_flight == 2
    queued_ms = [float(answer.headers["server-timing"].removeprefix("queue;dur=")) for answer in answers]
    assert queued_ms[:2] == [0, 0]
    assert min(queued_ms[2:]) > 0
    assert waiting(proxy) == 0


def test_nobody_is_refused_while_the_line_has_room(proxy: RunningProxy, engine: FakeEngine, gate: Gate) -> None:
    narrow(proxy, engine, gate, 1, limits=Limits(max_waiting=3))
    with asking(proxy, *[PLAIN] * 4) as connections:
        refused = [ask_at_once(proxy.port, PLAIN) for _ in range(3)]
        gate.open()
        assert statuses(connections) == [200] * 4

    assert {answer.status for answer in refused} == {429}
    assert refused[0].json() == {
        "detail": "Too many requests: the engine is at its limit, and 3 wait for it already; try again later"
    }
    assert int(refused[0].headers["retry-after"]) >= 1
    assert ask_at_once(proxy.port, PLAIN).status == 200


def test_one_that_leaves_the_line_makes_room_at_once(proxy: RunningProxy, engine: FakeEngine, gate: Gate) -> None:
    narrow(proxy, engine, gate, 1, limits=Limits(max_waiting=1))
    with asking(proxy, PLAIN, PLAIN) as (first, second):
        second.close()
        wait_until(lambda: waiting(proxy) == 0, "the second one has left the line")
        with RawConnection(proxy.port) as third:
            third.send(PLAIN)
            wait_until(lambda: waiting(proxy) == 1, "the third one waits")
            gate.open()
            assert statuses([first, third]) == [200, 200]

    assert len(engine.seen.generations) == 2


def test_a_key_with_many_waiting_does_not_starve_another_one(
    proxy: RunningProxy, engine: FakeEngine, gate: Gate
) -> None:
    narrow(proxy, engine, gate, 1, keys=api_keys(open_status=True))

    def of(key: str, prompt: str) -> bytes:
        return generate_request(f'{{"prompt": "{prompt}"}}'.encode(), f"Authorization: Bearer {key}")

    requests = [*[of(ALICE, f"alice {index}") for index in range(6)], of(BOB, "bob 0"), of(BOB, "bob 1")]
    with asking(proxy, *requests) as connections:
        gate.open()
        assert statuses(connections) == [200] * 8

    assert [sent["inputs"] for sent in engine.seen.generations] == [
        *["alice 0", "alice 1", "bob 0", "alice 2", "bob 1"],
        *["alice 3", "alice 4", "alice 5"],
    ]


def test_each_sequence_takes_a_place(proxy: RunningProxy, engine: FakeEngine, gate: Gate) -> None:
    narrow(proxy, engine, gate, 3)
    with RawConnection(proxy.port) as connection:
        connection.send(generate_request(b'{"prompt": "p", "num_return_sequences": 5}'))
        wait_until(lambda: (engine.seen.in_flight, waiting(proxy)) == (3, 2), "three have a place and two wait")
        gate.open()
        answer = connection.answer()

    assert len(answer.json()["generated_texts"]) == 5
    assert engine.seen.most_in_flight == 3


def test_one_that_fails_takes_its_other_sequences_out_of_the_line(
    proxy: RunningProxy, engine: FakeEngine, gate: Gate
) -> None:
    narrow(proxy, engine, gate, 1)
    engine.behaviour = Behaviour(failure=Failure.GENERATION, proof_failure=Failure.NONE, max_concurrent_requests=1)
    answer = ask_at_once(proxy.port, generate_request(b'{"prompt": "p", "num_return_sequences": 5}'))

    assert answer.status == 500
    wait_for(proxy, 0)
    # The second one got the place of the first one before it was taken out.
    assert len(engine.seen.generations) <= 2


def test_one_that_an_engine_refuses_waits_until_its_deadline(proxy: RunningProxy, engine: FakeEngine) -> None:
    engine.behaviour = Behaviour(failure=Failure.OVERLOADED, proof_failure=Failure.NONE)
    proxy.configure(limits=Limits(deadline_s=0.2))

    assert ask_at_once(proxy.port, PLAIN).status == 504
    wait_for(proxy, 0)


def test_an_engine_that_has_room_again_answers(proxy: RunningProxy, engine: FakeEngine) -> None:
    engine.behaviour = Behaviour(failure=Failure.OVERLOADED, proof_failure=Failure.NONE)
    with RawConnection(proxy.port) as connection:
        connection.send(PLAIN)
        wait_until(lambda: engine.seen.generations, "the engine has refused it")
        engine.behaviour = Behaviour()
        answer = connection.answer()

    assert answer.status == 200
    assert float(answer.headers["server-timing"].removeprefix("queue;dur=")) > 0


def test_a_deadline_passes_in_the_line_too(proxy: RunningProxy, engine: FakeEngine, gate: Gate) -> None:
    narrow(proxy, engine, gate, 1)
    with asking(proxy, PLAIN) as (first,):
        proxy.configure(limits=Limits(deadline_s=0.05))
        late = ask_at_once(proxy.port, PLAIN)
        gate.open()
        assert (late.status, first.answer().status) == (504, 200)

    assert len(engine.seen.generations) == 1


def test_a_lost_engine_refuses_those_who_wait(proxy: RunningProxy, engine: FakeEngine, gate: Gate) -> None:
    narrow(proxy, engine, gate, 1)
    with asking(proxy, *[PLAIN] * 4) as connections:
        engine.kill()
        answers = [connection.answer() for connection in connections]

    assert [answer.status for answer in answers] == [503] * 4
    assert all("retry-after" in answer.headers for answer in answers)


def test_those_who_wait_for_a_lost_engine_wait_on_while_the_table_holds(
    proxy: RunningProxy, engine: FakeEngine, gate: Gate
) -> None:
    narrow(proxy, engine, gate, 1, hold=Hold(max_wait_s=60))
    with asking(proxy, *[PLAIN] * 4) as connections:
        engine.kill()
        wait_until(lambda: proxy.status()["queue"]["held"] == 4, "all are held")
        gate.open()
        engine.start()
        assert statuses(connections) == [200] * 4

    assert proxy.status()["queue"] == {"waiting": 0, "held": 0, "max_waiting": 1024}


def test_those_who_wait_go_to_whichever_engine_has_a_place(proxy: RunningProxy, engine: FakeEngine, gate: Gate) -> None:
    narrow(proxy, engine, gate, 1)
    with asking(proxy, *[PLAIN] * 3) as connections, fake_engine(Behaviour(max_concurrent_requests=1)) as other:
        declared = Upstream(id="other", url=other.url, state=UpstreamState.RUNNING)
        proxy.configure(upstreams=(*proxy.table.upstreams, declared))
        assert statuses(connections[1:]) == [200, 200]
        gate.open()
        assert statuses(connections[:1]) == [200]
        assert (len(engine.seen.generations), len(other.seen.generations)) == (1, 2)


@pytest.mark.parametrize("count", [1, 3])
def test_a_prompt_that_has_to_be_measured_waits_once(
    proxy: RunningProxy, engine: FakeEngine, gate: Gate, count: int
) -> None:
    narrow(proxy, engine, gate, 1, limits=Limits(max_waiting=count + 1))
    text = "word " * 250
    long = generate_request(f'{{"prompt": "{text}", "num_return_sequences": {count}}}'.encode())
    with RawConnection(proxy.port) as first, RawConnection(proxy.port) as second, RawConnection(proxy.port) as third:
        first.send(PLAIN)
        wait_for(proxy, 1)
        second.send(long)
        wait_for(proxy, 1 + count)
        third.send(PLAIN)
        wait_for(proxy, 2 + count)
        gate.open()
        assert statuses([first, second, third]) == [200, 200, 200]

    assert [sent["inputs"] for sent in engine.seen.generations] == ["p", *[text] * count, "p"]
    assert engine.seen.tokenized == [text]
