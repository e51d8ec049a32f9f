"""An answer that is a stream, over bare ASGI: when its head goes out, what breaks its silence, how it ends."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from starlette.types import Message

from fakes.own_time import run_in_own_time
from scout_proxy.errors import ClientGoneError, DeadlineError, NotLoadedError, ProxyError
from scout_proxy.http import event_stream
from scout_proxy.http.event_stream import EventAnswer, EventSink
from scout_proxy.http.sse import COMMENT

Produce = Callable[[EventSink], Coroutine[Any, Any, None]]


class Client:
    """Takes an answer's messages; while it does not read, the second one waits."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.leaves = asyncio.Event()

    async def send(self, message: Message) -> None:
        await self.reads.wait()
        self.messages.append(message)

    async def receive(self) -> Message:
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def ask(self, produce: Produce, *, keep_alive_s: float = 15.0) -> None:
        answer = EventAnswer(produce, write_error=lambda error: error.message.encode(), keep_alive_s=keep_alive_s)
        await answer({}, self.receive, self.send)

    @property
    def bodies(self) -> list[bytes]:
        return [message["body"] for message in self.messages[1:]]

    @property
    def is_complete(self) -> bool:
        return not self.messages[-1].get("more_body", True)


def test_the_head_goes_out_with_the_first_events() -> None:
    async def run() -> None:
        client = Client()

        async def produce(sink: EventSink) -> None:
            assert not client.messages
            await sink.send(b"a")
            assert [message["type"] for message in client.messages] == ["http.response.start", "http.response.body"]
            await sink.send(b"b")

        await client.ask(produce)

        assert client.messages[0]["status"] == 200
        assert (b"content-type", b"text/event-stream; charset=utf-8") in client.messages[0]["headers"]
        assert client.bodies == [b"a", b"b", b""]
        assert client.is_complete

    run_in_own_time(run())


def test_what_fails_before_them_is_raised() -> None:
    async def run() -> None:
        client = Client()

        async def produce(_: EventSink) -> None:
            raise NotLoadedError

        with pytest.raises(NotLoadedError):
            await client.ask(produce)

        assert client.messages == []

    run_in_own_time(run())


def test_what_fails_after_them_is_an_event_and_the_end() -> None:
    async def run() -> None:
        client = Client()

        async def produce(sink: EventSink) -> None:
            await sink.send(b"a")
            raise ProxyError("told")

        await client.ask(produce)

        assert client.bodies == [b"a", b"told", b""]
        assert client.is_complete

    run_in_own_time(run())


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_client_that_leaves_ends_the_work(*, has_begun: bool) -> None:
    async def run() -> None:
        client, ended = Client(), asyncio.Event()

        async def produce(sink: EventSink) -> None:
            try:
                if has_begun:
                    await sink.send(b"a")
                client.leaves.set()
                await asyncio.sleep(60)
            finally:
                ended.set()

        if has_begun:
            await client.ask(produce)
        else:
            with pytest.raises(ClientGoneError):
                await client.ask(produce)
        assert ended.is_set()
        # One that ended but its own direction reads why.
        assert client.bodies == ([b"a", ClientGoneError().message.encode(), b""] if has_begun else [])

    run_in_own_time(run())


def test_a_server_that_stops_ends_the_stream_with_a_word() -> None:
    async def run() -> None:
        client, begun = Client(), asyncio.Event()

        async def produce(sink: EventSink) -> None:
            await sink.send(b"a")
            begun.set()
            await asyncio.sleep(60)

        asking = asyncio.create_task(client.ask(produce))
        await begun.wait()
        asking.cancel()
        await asking

        assert client.bodies == [b"a", b"Model or tokenizer not loaded", b""]

    run_in_own_time(run())


def test_silence_is_broken_by_comments() -> None:
    async def run() -> None:
        client = Client()

        async def produce(sink: EventSink) -> None:
            await asyncio.sleep(0.05)
            await sink.send(b"a")
            await asyncio.sleep(0.25)
            await sink.send(b"b")

        await client.ask(produce, keep_alive_s=0.1)

        assert client.bodies[:2] == [b"a", COMMENT]
        assert client.bodies[-2:] == [b"b", b""]

    run_in_own_time(run())


def test_a_stream_that_is_not_silent_has_no_comments() -> None:
    async def run() -> None:
        client = Client()

        async def produce(sink: EventSink) -> None:
            for _ in range(12):
                await sink.send(b"a")
                await asyncio.sleep(0.1)

        await client.ask(produce, keep_alive_s=1)

        assert client.bodies == [*[b"a"] * 12, b""]

    run_in_own_time(run())


def test_a_client_that_does_not_read_is_sent_no_comments() -> None:
    async def run() -> None:
        client = Client()

        async def produce(sink: EventSink) -> None:
            await sink.send(b"a")
            client.reads.clear()
            asyncio.get_running_loop().call_later(0.1, client.reads.set)
            await sink.send(b"b")

        await client.ask(produce, keep_alive_s=0.01)

        assert client.bodies == [b"a", b"b", b""]

    run_in_own_time(run())


def test_for_a_client_that_does_not_read_nobody_looks_at_the_clock_all_the_time() -> None:
    async def run() -> None:
        client = Client()

        async def produce(sink: EventSink) -> None:
            await sink.send(b"a")
            client.reads.clear()
            asyncio.get_running_loop().call_later(3600, client.reads.set)
            await sink.send(b"b")
            await asyncio.sleep(20)

        await client.ask(produce)

        assert client.bodies == [b"a", b"b", COMMENT, b""]

    # In this time nobody may be busy without an end.
    run_in_own_time(run())


def test_an_error_is_not_told_to_a_client_that_never_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "_LAST_WORD_S", 0.05)

    async def run() -> None:
        client = Client()

        async def produce(sink: EventSink) -> None:
            await sink.send(b"a")
            client.reads.clear()
            raise DeadlineError

        await client.ask(produce)

        assert client.bodies == [b"a"]

    run_in_own_time(run())


def test_several_may_send() -> None:
    async def run() -> None:
        client = Client()

        async def produce(sink: EventSink) -> None:
            await asyncio.gather(*(sink.send(bytes([number])) for number in range(5)))

        await client.ask(produce)

        assert [message["type"] for message in client.messages] == ["http.response.start", *["http.response.body"] * 6]
        assert sorted(client.bodies) == [b"", *(bytes([number]) for number in range(5))]

    run_in_own_time(run())
