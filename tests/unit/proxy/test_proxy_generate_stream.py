"""`"stream": true` on `/generate`, on a real socket."""

from typing import Any

import pytest
import requests

from fakes.engine_streams import Ending, Stream
from fakes.engine_waits import Gate
from fakes.fake_engine import Behaviour, Failure, FakeEngine
from fakes.generate_events import SentEvent, read_events, told_texts
from fakes.raw_http import RawConnection, generate_request
from fakes.running_proxy import DEADLINE_S, RunningProxy, wait_until
from scout_proxy.route_table import Cache, Limits

STREAM = generate_request(b'{"prompt": "p", "stream": true}')


def stream(proxy: RunningProxy, **fields: object) -> list[SentEvent]:
    answer = proxy.generate(stream=True, **fields)
    assert answer.status_code == 200
    return read_events(answer.content)


def answering(proxy: RunningProxy) -> float:
    """Return how many requests are being answered, the one that asks included."""
    return proxy.samples()["scout_proxy_requests_in_flight",]


def test_a_stream_has_the_documented_form(proxy: RunningProxy, engine: FakeEngine) -> None:
    engine.behaviour = Behaviour(stream=Stream(tokens=(" one", ' "二"'), together=True))
    answer = proxy.generate(stream=True, max_length=5)

    assert (
        answer.content
        == (
            'data: {"sequence":0,"text":" one \\"二\\""}\n\n'
            'event: done\ndata: {"generated_texts":[" one \\"二\\""],"parameters":{"prompt":"hello","max_length":5,'
            '"temperature":0.7,"top_p":0.9,"top_k":50,"num_return_sequences":1,"stream":true}}\n\n'
        ).encode()
    )
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert answer.headers["X-Cache"] == "BYPASS"
    assert answer.headers["Server-Timing"].startswith("queue;dur=")


def test_the_last_event_is_the_answer_without_a_stream(proxy: RunningProxy, engine: FakeEngine) -> None:
    engine.behaviour = Behaviour(text=lambda _: " one two three")
    fields: dict[str, Any] = {"seed": 3, "stop": ["x"], "num_return_sequences": 2, "repetition_penalty": 1.5}
    whole = proxy.generate(**fields).json()
    *_, (name, streamed) = stream(proxy, **fields)

    assert name == "done"
    assert streamed.pop("parameters") == {**whole.pop("parameters"), "stream": True}
    assert streamed == whole


def test_a_great_stream_that_comes_all_at_once_is_given_on_whole(proxy: RunningProxy, engine: FakeEngine) -> None:
    engine.behaviour = Behaviour(stream=Stream(tokens=("x" * 10_000,) * 200, together=True))

    assert told_texts(stream(proxy)) == {0: "x" * 2_000_000}


def test_each_piece_comes_as_soon_as_it_is_there(proxy: RunningProxy, engine: FakeEngine, gate: Gate) -> None:
    engine.behaviour = Behaviour(gate=gate, stream=Stream(tokens=("one", " two", " three")))
    with RawConnection(proxy.port) as connection:
        connection.send(STREAM)
        gate.let()
        connection.head()
        read = []
        for _ in range(2):
            read.append(connection.chunk())
            gate.let()
        read.append(connection.chunks_until(b"event: done"))

    assert read[:2] == [b'data: {"sequence":0,"text":"one"}\n\n', b'data: {"sequence":0,"text":" two"}\n\n']
    assert told_texts(read_events(read[2])) == {0: " three"}


def test_sequences_are_told_apart_and_come_at_the_same_time(
    proxy: RunningProxy, engine: FakeEngine, gate: Gate
) -> None:
    engine.behaviour = Behaviour(gate=gate, stream=Stream(tokens=("one", " two")))
    request = generate_request(b'{"prompt": "p", "stream": true, "num_return_sequences": 3}')
    with RawConnection(proxy.port) as connection:
        connection.send(request)
        wait_until(lambda: engine.seen.in_flight == 3, "all three are generated")
        gate.let(3)
        connection.head()
        begun = b""
        while len(told_texts(read_events(begun)) if begun else ()) < 2:
            begun += connection.chunk()
        gate.open()
        events = read_events(begun + b"".join(iter(connection.chunk, b"")))

    assert told_texts(events) == {0: "one two", 1: "one two", 2: "one two"}
    assert events[-1].payload["generated_texts"] == ["one two"] * 3


def test_greedy_sequences_are_generated_once_and_told_for_each(proxy: RunningProxy, engine: FakeEngine) -> None:
    events = stream(proxy, num_return_sequences=3, temperature=0)

    assert told_texts(events) == dict.fromkeys(range(3), " one two three")
    assert events[-1].payload["generated_texts"] == [" one two three"] * 3
    assert len(engine.seen.generations) == 1


@pytest.mark.parametrize(
    ("failure", "status"),
    [(Failure.GENERATION, 500), (Failure.VALIDATION, 422), (Failure.GARBAGE, 500), (Failure.CLOSED, 503)],
)
def test_an_error_before_the_first_token_has_a_status(
    proxy: RunningProxy, engine: FakeEngine, failure: Failure, status: int
) -> None:
    engine.behaviour = Behaviour(failure=failure, proof_failure=Failure.NONE)
    answer = proxy.generate(stream=True)

    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/json")
    assert list(answer.json()) == ["detail"]


@pytest.mark.parametrize(
    ("ending", "status"),
    [(Ending.GENERATION, 500), (Ending.VALIDATION, 422), (Ending.CUT_OFF, 500), (Ending.NO_OBJECT, 500)],
)
def test_an_error_in_place_of_the_first_token_has_a_status_too(
    proxy: RunningProxy, engine: FakeEngine, ending: Ending, status: int
) -> None:
    engine.behaviour = Behaviour(stream=Stream(ending=ending, ends_after=0))

    assert proxy.generate(stream=True).status_code == status


@pytest.mark.parametrize("ending", [Ending.GENERATION, Ending.CUT_OFF, Ending.CLOSED, Ending.GARBAGE, Ending.ENDLESS])
def test_an_error_after_the_first_token_is_an_event_and_the_end(
    proxy: RunningProxy, engine: FakeEngine, ending: Ending
) -> None:
    engine.behaviour = Behaviour(stream=Stream(ending=ending, ends_after=2))
    *told, (name, payload) = stream(proxy, max_length=20)

    assert told_texts(told)[0].startswith(" one two")
    assert (name, list(payload)) == ("error", ["detail"])
    assert payload["detail"].startswith("Generation failed: ")


def test_a_connection_is_used_again_after_a_stream_that_failed(proxy: RunningProxy, engine: FakeEngine) -> None:
    engine.behaviour = Behaviour(stream=Stream(ending=Ending.GENERATION, ends_after=2))
    with RawConnection(proxy.port) as connection:
        bodies = [connection.ask(STREAM).body for _ in range(2)]

    assert [read_events(body)[-1].name for body in bodies] == ["error", "error"]


def test_one_failing_sequence_ends_the_stream(proxy: RunningProxy, engine: FakeEngine, gate: Gate) -> None:
    engine.behaviour = Behaviour(gate=gate, stream=Stream(ending=Ending.GENERATION, ends_after=2))
    with RawConnection(proxy.port) as connection:
        connection.send(generate_request(b'{"prompt": "p", "stream": true, "num_return_sequences": 2}'))
        wait_until(lambda: engine.seen.in_flight == 2, "both are generated")
        gate.let(3)
        answer = connection.answer()

    assert read_events(answer.body)[-1].name == "error"
    wait_until(lambda: engine.seen.in_flight == 0, "the other one is cancelled")


def test_pieces_are_whole_characters(proxy: RunningProxy, engine: FakeEngine) -> None:
    tokens = ("a", "\ufffd", "\ufffd", "b", "👍")
    engine.behaviour = Behaviour(stream=Stream(tokens=tokens, generated_text="a��b👍", together=False))
    assert told_texts(stream(proxy)) == {0: "a\ufffd\ufffdb👍"}
    engine.behaviour = Behaviour(stream=Stream(tokens=("a", "\ufffd", "\ufffd"), generated_text="a🦙"))

    events = stream(proxy)
    assert told_texts(events) == {0: "a🦙"}
    assert events[-1].payload["generated_texts"] == ["a🦙"]


def test_a_stop_string_across_pieces_ends_the_text_and_the_generation(
    proxy: RunningProxy, engine: FakeEngine, gate: Gate
) -> None:
    engine.behaviour = Behaviour(gate=gate, stream=Stream(tokens=("one S", "T", "OP two", " three")))
    with RawConnection(proxy.port) as connection:
        connection.send(generate_request(b'{"prompt": "p", "stream": true, "stop": ["STOP"]}'))
        gate.let(3)
        events = read_events(connection.answer().body)

    assert told_texts(events) == {0: "one "}
    assert events[-1].payload["generated_texts"] == ["one "]
    assert engine.seen.generations[0]["parameters"]["stop"] == ["STOP"]
    wait_until(lambda: engine.seen.in_flight == 0, "the engine stops")


def test_what_could_have_been_a_stop_string_is_told_at_the_end(proxy: RunningProxy, engine: FakeEngine) -> None:
    engine.behaviour = Behaviour(stream=Stream(tokens=("one S", "TO")))

    assert told_texts(stream(proxy, stop=["STOP"])) == {0: "one STO"}


def test_a_reader_that_goes_away_frees_the_engine_at_once(proxy: RunningProxy, engine: FakeEngine, gate: Gate) -> None:
    engine.behaviour = Behaviour(gate=gate)
    with RawConnection(proxy.port) as connection:
        connection.send(STREAM)
        gate.let()
        connection.head()
    wait_until(lambda: engine.seen.in_flight == 0, "the engine is idle")

    assert engine.seen.cancelled == 1
    wait_until(lambda: answering(proxy) == 1, "nothing is left of the request")


# More than the buffers between two programs of one machine take.
GREAT = Stream(tokens=("x" * 60_000,) * 100)


def test_a_reader_that_takes_nothing_slows_neither_the_engine_nor_others(
    proxy: RunningProxy, engine: FakeEngine
) -> None:
    proxy.configure(cache=Cache())
    engine.behaviour = Behaviour(stream=GREAT, delay_s=0.2)
    request = generate_request(b'{"prompt": "p", "stream": true, "max_length": 100}')
    with RawConnection(proxy.port) as slow, RawConnection(proxy.port) as fast:
        slow.send(request)
        fast.send(request)
        events = read_events(fast.answer().body)
        wait_until(lambda: engine.seen.in_flight == 0, "the engine has finished")
        wait_until(lambda: answering(proxy) == 2, "the slow one is still being answered")
        late = read_events(slow.answer().body)

    assert len(engine.seen.generations) == 1
    assert told_texts(events) == told_texts(late) == {0: GREAT.text}
    assert events[-1] == late[-1]


def test_the_deadline_is_an_event_of_a_stream_that_has_begun(
    proxy: RunningProxy, engine: FakeEngine, gate: Gate
) -> None:
    engine.behaviour = Behaviour(gate=gate)
    proxy.configure(limits=Limits(deadline_s=1))
    gate.let()
    answer = proxy.generate(stream=True)
    *told, (name, payload) = read_events(answer.content)

    assert told_texts(told) == {0: " one"}
    assert (name, payload["detail"][:23]) == ("error", "The deadline of 1 s pas")
    wait_until(lambda: engine.seen.in_flight == 0, "the engine is idle")


def test_a_stored_answer_is_told_as_a_stream_and_the_other_way_round(proxy: RunningProxy, engine: FakeEngine) -> None:
    proxy.configure(cache=Cache())
    engine.behaviour = Behaviour(text=lambda body: f"{body['inputs']} {body['parameters']['seed']}")
    asked: list[dict[str, Any]] = [{"num_return_sequences": 2, "seed": 5}, {"num_return_sequences": 2, "prompt": "b"}]
    whole, streamed = proxy.generate(**asked[0]), proxy.generate(stream=True, **asked[1])
    replayed, collected = proxy.generate(stream=True, **asked[0]), proxy.generate(**asked[1])
    events = read_events(replayed.content)

    assert [answer.headers["X-Cache"] for answer in (whole, streamed, replayed, collected)] == [
        *["MISS", "MISS"],
        *["HIT", "HIT"],
    ]
    assert told_texts(events) == dict(enumerate(whole.json()["generated_texts"]))
    assert events[-1].payload == {**whole.json(), "parameters": {**whole.json()["parameters"], "stream": True}}
    assert collected.json()["generated_texts"] == read_events(streamed.content)[-1].payload["generated_texts"]
    assert replayed.headers["Content-Type"] == streamed.headers["Content-Type"]
    assert "Age" in replayed.headers


def test_a_text_of_nothing_is_a_stream_of_nothing(proxy: RunningProxy, engine: FakeEngine) -> None:
    engine.behaviour = Behaviour(stream=Stream(tokens=("STOP",)))
    events = stream(proxy, stop=["STOP"])

    assert [event.name for event in events] == ["done"]
    assert events[0].payload["generated_texts"] == [""]


def test_a_client_of_the_documented_kind_reads_it(proxy: RunningProxy) -> None:
    asked = {"prompt": "p", "stream": True}
    with requests.post(proxy.url + "/generate", json=asked, stream=True, timeout=DEADLINE_S) as answer:
        lines = [line for line in answer.iter_lines(decode_unicode=True) if line]

    assert lines[-2] == "event: done"
    assert all(line.startswith("data: ") for line in lines[:-2])
