"""How the proxy stops: what has begun is finished, what comes is refused, and it ends in time.

What a signal does is shown on the real process, the rest on the same server in a thread, which starts faster.
"""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from fakes.every_way import GENERATE, STREAMED, WAYS, WHOLE, Way, unchunked
from fakes.odd_engine import OddEngine, after_first_event, chunk, odd_engine, silence
from fakes.proxy_process import ProxyProcess, proxy_process
from fakes.running_proxy import RunningProxy, read_answer, read_to_end, route_table, running_proxy, wait_until
from scout_proxy.route_table import Cache, Hold, Limits, RouteTable, Upstream, UpstreamState, write_route_table

NOT_LOADED = "Model or tokenizer not loaded"
LONG_S = 600.0
DEADLINE_S = 60.0
PATIENT = Limits(drain_s=LONG_S, header_timeout_s=LONG_S)
ROOT = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
NATIVE, CHAT = WHOLE[1].request, WHOLE[2].request

Stoppable = ProxyProcess | RunningProxy


def generate(prompt: str, **more: Any) -> bytes:
    return Way(path=GENERATE, body={"prompt": prompt, **more}).request


def table_of(engine: OddEngine, limits: Limits) -> RouteTable:
    return route_table(engine.url, cache=Cache(), limits=limits)


@contextmanager
def process(path: Path, limits: Limits = PATIENT) -> Iterator[tuple[ProxyProcess, OddEngine]]:
    with odd_engine() as engine, proxy_process(path / "routes.json", table_of(engine, limits)) as proxy:
        proxy.wait_until_it_serves()
        yield proxy, engine


@contextmanager
def server(path: Path, limits: Limits = PATIENT) -> Iterator[tuple[RunningProxy, OddEngine]]:
    with odd_engine() as engine, running_proxy(path / "routes.json", table_of(engine, limits)) as proxy:
        proxy.wait_for("active")
        yield proxy, engine
        proxy.terminate()
        engine.let_go()


@contextmanager
def all_sent(proxy: Stoppable, *asked: bytes) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(proxy.send(request)) for request in asked]


def drains(proxy: Stoppable) -> bool:
    return proxy.get("/health").status_code == 503


def begin_to_drain(proxy: Stoppable) -> None:
    proxy.terminate()
    wait_until(lambda: drains(proxy), "new requests are refused", DEADLINE_S)


def test_what_has_begun_is_finished_and_told_that_its_connection_ends(tmp_path: Path) -> None:
    with process(tmp_path) as (proxy, engine):
        engine.hold_back()
        with all_sent(proxy, *(way.request for way in WAYS)) as clients:
            wait_until(lambda: engine.seen.in_flight == len(clients), "all are in flight", DEADLINE_S)
            begin_to_drain(proxy)
            engine.let_go()
            answers = [read_to_end(client) for client in clients]
        events = proxy.events()

    assert proxy.process.returncode == 0
    assert [event["event"] for event in events] == ["upstream serves", "stopping", "stopped"]
    # One more where the signal came while the question whether it drains was being answered.
    assert events[1]["in_flight"] - len(WAYS) in {0, 1}
    for answer in answers:
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nconnection: close" in answer.partition(b"\r\n\r\n")[0]
        assert answer.endswith((b"}", b"]", b"0\r\n\r\n"))
        assert b"error" not in answer


def test_what_waits_for_a_place_or_for_another_request_is_finished_too(tmp_path: Path) -> None:
    with server(tmp_path) as (proxy, engine):
        engine.hold_back()
        with all_sent(proxy, *[generate("a")] * 2, generate("a", stream=True), generate("b", stream=True)) as clients:
            wait_until(lambda: proxy.status()["cache"]["coalesced"] == 2, "two share the first one's", DEADLINE_S)
            wait_until(lambda: engine.seen.in_flight == 2, "two generations are in flight", DEADLINE_S)
            begin_to_drain(proxy)
            engine.let_go()
            answers = [read_to_end(client) for client in clients]

    assert len(engine.seen.generations) == 2
    assert all(answer.startswith(b"HTTP/1.1 200 ") and b"error" not in answer for answer in answers)


def test_a_stream_that_has_begun_goes_on_to_its_end(tmp_path: Path) -> None:
    with server(tmp_path) as (proxy, engine):

        async def end(writer: asyncio.StreamWriter, _: Any) -> bool:
            await engine.pass_gate()
            last = {"index": 2, "token": {"id": 2, "text": " two", "logprob": 0, "special": False}}
            event = json.dumps({**last, "generated_text": "one two"}).encode()
            writer.write(chunk(b"data: %b\n\n" % event) + chunk(b""))
            return True

        engine.hold_back()
        engine.script = after_first_event(end)
        with all_sent(proxy, *(way.request for way in STREAMED[:2])) as clients:
            begun = [client.recv(65536) for client in clients]
            begin_to_drain(proxy)
            engine.let_go()
            answers = [beginning + read_to_end(client) for beginning, client in zip(begun, clients, strict=True)]

    assert b"event: done\n" in unchunked(answers[0])
    assert b'"generated_text": "one two"' in unchunked(answers[1])


@pytest.mark.parametrize("kept", [True, False], ids=["kept connection", "new connection"])
def test_what_comes_meanwhile_is_a_503_in_the_form_of_its_route(tmp_path: Path, *, kept: bool) -> None:
    with server(tmp_path) as (proxy, engine):
        # Stored, so that without the drain it would be answered at once.
        assert requests.post(proxy.url + "/generate", json={"prompt": "stored"}, timeout=DEADLINE_S).status_code == 200
        engine.hold_back()
        asked = (ROOT, b"GET /nope HTTP/1.1\r\nHost: x\r\n\r\n", generate("stored"), *(way.request for way in WAYS))
        with all_sent(proxy, generate("a")), ExitStack() as stack:
            wait_until(lambda: engine.seen.in_flight, "a generation is in flight", DEADLINE_S)
            if kept:
                clients = [stack.enter_context(proxy.send(ROOT + request[:5])) for request in asked]
                assert all(read_answer(client).startswith(b"HTTP/1.1 200 ") for client in clients)
                begin_to_drain(proxy)
                for client, request in zip(clients, asked, strict=True):
                    client.sendall(request[5:])
            else:
                begin_to_drain(proxy)
                clients = [stack.enter_context(proxy.send(request)) for request in asked]
            answers = [read_to_end(client) for client in clients]

    assert len(engine.seen.generations) == 2
    for answer in answers:
        head = answer.partition(b"\r\n\r\n")[0].lower()
        assert head.startswith(b"http/1.1 503 ")
        assert b"\r\nretry-after: 1" in head
        assert b"\r\nconnection: close" in head
        assert b"\r\nx-request-id: " in head
    bodies = [answer.partition(b"\r\n\r\n")[2] for answer in answers]
    assert [json.loads(body) for body in bodies[:3]] == [{"detail": NOT_LOADED}] * 3
    assert [way.message(body) for way, body in zip(WAYS, bodies[3:], strict=True)] == [NOT_LOADED] * len(WAYS)


def test_what_was_sent_behind_a_request_in_flight_is_refused(tmp_path: Path) -> None:
    with server(tmp_path) as (proxy, engine):
        engine.hold_back()
        with all_sent(proxy, generate("a") + NATIVE + CHAT) as (client,):
            wait_until(lambda: engine.seen.in_flight, "a generation is in flight", DEADLINE_S)
            begin_to_drain(proxy)
            engine.let_go()
            answers = read_to_end(client)

    # The refusal says that the connection ends with it, so the third request is to be sent again on another one.
    assert [answers.count(status) for status in (b"HTTP/1.1 200 ", b"HTTP/1.1 503 ")] == [1, 1]
    assert answers.startswith(b"HTTP/1.1 200 ")
    assert len(engine.seen.generations) == 1


def test_without_a_request_in_flight_it_ends_at_once(tmp_path: Path) -> None:
    with process(tmp_path) as (proxy, _), all_sent(proxy, b"", ROOT) as (silent, kept):
        assert read_answer(kept).startswith(b"HTTP/1.1 200 ")
        proxy.terminate()

        proxy.events()
        assert proxy.process.returncode == 0
        assert read_to_end(silent) == read_to_end(kept) == b""


def test_it_waits_no_longer_than_the_drain_time(tmp_path: Path) -> None:
    with process(tmp_path, Limits(drain_s=0.2)) as (proxy, engine):
        engine.hold_back()
        engine.script = after_first_event(silence)
        draining = Upstream(id="engine-0", url=engine.url, state=UpstreamState.DRAINING)
        half = b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
        with (
            all_sent(proxy, *(way.request for way in STREAMED)) as streams,
            all_sent(proxy, generate("a"), CHAT, half) as others,
        ):
            begun = [stream.recv(65536) for stream in streams]
            wait_until(lambda: engine.seen.in_flight == len(STREAMED) + 2, "the generations are in flight", DEADLINE_S)
            table = route_table(
                engine.url, upstreams=(draining,), hold=Hold(max_wait_s=60), revision=2, limits=Limits(drain_s=0.2)
            )
            write_route_table(proxy.path, table)
            wait_until(lambda: proxy.get("/status").json()["hold"], "requests are held", DEADLINE_S)
            with all_sent(proxy, generate("held")) as (held,):
                wait_until(lambda: proxy.get("/status").json()["hold"]["waiting"], "one is held", DEADLINE_S)

                proxy.terminate()

                ends = [read_to_end(stream) for stream in streams]
                answers = [read_to_end(client) for client in (*others, held)]
        events = [event["event"] for event in proxy.events()]
        wait_until(lambda: engine.seen.cancelled == len(STREAMED) + 2, "the generations are cancelled", DEADLINE_S)

    assert proxy.process.returncode == 0
    assert "requests are cut off" in events
    for way, beginning, end in zip(STREAMED, begun, ends, strict=True):
        assert beginning.startswith(b"HTTP/1.1 200 ")
        assert way.last_words(unchunked(beginning + end)) == NOT_LOADED
    for answer in answers:
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert NOT_LOADED.encode() in answer


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with process(tmp_path) as (proxy, engine):
        engine.hold_back()
        with all_sent(proxy, generate("a")) as (client,):
            wait_until(lambda: engine.seen.in_flight, "a generation is in flight", DEADLINE_S)
            begin_to_drain(proxy)
            proxy.terminate()
            answer = read_to_end(client)
        proxy.events()

    assert proxy.process.returncode == 0
    assert answer.startswith(b"HTTP/1.1 503 ")


def test_a_client_that_does_not_read_keeps_it_no_longer_than_the_drain_time(tmp_path: Path) -> None:
    with server(tmp_path, Limits(drain_s=0.2)) as (proxy, engine):
        engine.behaviour.text = lambda _: "x" * 20_000_000
        with all_sent(proxy, generate("a")) as (client,):
            assert client.recv(1) == b"H"
            proxy.terminate()

            wait_until(lambda: not proxy.thread.is_alive(), "the server has ended", DEADLINE_S)
