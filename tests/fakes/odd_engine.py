"""A fake engine whose answers wait until a test lets them go, or are whatever bytes a test writes."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from fakes.engine_streams import Json, Stream, chat_event, completion_event, native_event
from fakes.fake_engine import Behaviour, FakeEngine
from fakes.running_proxy import RunningProxy, route_table, running_proxy

Script = Callable[[asyncio.StreamWriter, Json], Awaitable[bool]]
_Usual = Callable[[asyncio.StreamWriter, Behaviour, Json], Awaitable[bool]]

STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class OddEngine(FakeEngine):
    """Proves itself like any other.

    Attributes:
        script: Writes the answer to a request's body instead; returns whether the connection can be used again.
    """

    def __init__(self) -> None:
        self._gate = asyncio.Event()
        self._gate.set()
        self.script: Script | None = None
        super().__init__()

    def hold_back(self) -> None:
        """Let every answer wait until `let_go`."""
        self._loop.call_soon_threadsafe(self._gate.clear)

    def let_go(self) -> None:
        """Let answers go, those that wait and those to come."""
        self._loop.call_soon_threadsafe(self._gate.set)

    async def pass_gate(self) -> None:
        """Wait while answers are held back."""
        await self._gate.wait()

    async def _answer_whole(self, writer: asyncio.StreamWriter, behaviour: Behaviour, body: Json) -> bool:
        return await self._answer_oddly(super()._answer_whole, writer, behaviour, body)

    async def _answer_list(self, writer: asyncio.StreamWriter, behaviour: Behaviour, body: Json) -> bool:
        return await self._answer_oddly(super()._answer_list, writer, behaviour, body)

    async def _answer_openai(self, writer: asyncio.StreamWriter, behaviour: Behaviour, body: Json) -> bool:
        return await self._answer_oddly(super()._answer_openai, writer, behaviour, body)

    async def _stream_native(self, writer: asyncio.StreamWriter, behaviour: Behaviour, body: Json) -> bool:
        return await self._answer_oddly(super()._stream_native, writer, behaviour, body)

    async def _answer_oddly(
        self, usual: _Usual, writer: asyncio.StreamWriter, behaviour: Behaviour, body: Json
    ) -> bool:
        if self.script is not None:
            return await self.script(writer, body)
        await self.pass_gate()
        return await usual(writer, behaviour, body)


def whole(body: bytes, head: bytes = b"") -> bytes:
    """Return a 200 with a length."""
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n%b" % (
        head,
        len(body),
        body,
    )


def saying(answer: bytes, *, closes: bool = False) -> Script:
    """Write these bytes."""

    async def script(writer: asyncio.StreamWriter, _: Json) -> bool:
        writer.write(answer)
        await writer.drain()
        return not closes

    return script


def repeating(piece: bytes, *, beginning: bytes = b"", times: int | None = None, pause_s: float = 0.0) -> Script:
    """Write the same again and again, without end unless it is said how often."""

    async def script(writer: asyncio.StreamWriter, body: Json) -> bool:
        del body
        writer.write(beginning)
        for _ in range(times) if times is not None else count():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
        return True

    return script


async def silence(_: asyncio.StreamWriter, __: Json) -> bool:
    """Write nothing."""
    await asyncio.Event().wait()
    return False


async def reset(writer: asyncio.StreamWriter, _: Json) -> bool:
    """Reset the connection."""
    writer.transport.abort()
    return False


def after_first_event(then: Script) -> Script:
    """Begin a stream well."""

    async def script(writer: asyncio.StreamWriter, body: Json) -> bool:
        writer.write(STREAM_HEAD + chunk(first_event(body)))
        await writer.drain()
        return await then(writer, body)

    return script


def large_events(times: int, size_bytes: int, *, then: Script | None = None) -> Script:
    """Write so many events of this size, and the end of the answer; or what comes instead of the end."""

    async def script(writer: asyncio.StreamWriter, body: Json) -> bool:
        event = chunk(first_event(body, "x" * size_bytes))
        for _ in range(times):
            writer.write(event)
            await writer.drain()
        if then is not None:
            return await then(writer, body)
        writer.write(chunk(b""))
        return True

    return script


def first_event(body: Json, text: str = "one") -> bytes:
    """Return the first event of a stream, in the form of the route that was asked."""
    stream = Stream(tokens=(text, " two"))
    if "messages" in body:
        event = chat_event(stream, body)
    elif "prompt" in body:
        event = completion_event(stream)
    else:
        event = native_event(stream, body)
    return b"data: %b\n\n" % json.dumps(event(1, text)[0]).encode()


def chunk(data: bytes) -> bytes:
    """Return a chunk of an answer without a length."""
    return b"%x\r\n%b\r\n" % (len(data), data)


@contextmanager
def odd_engine() -> Iterator[OddEngine]:
    """Run one for the length of a block."""
    engine = OddEngine()
    engine.start()
    try:
        yield engine
    finally:
        engine.close()


@contextmanager
def odd_service(folder: Path, **table: Any) -> Iterator[tuple[RunningProxy, OddEngine]]:
    """Run one behind a proxy for the length of a block."""
    with odd_engine() as engine, running_proxy(folder / "routes.json", route_table(engine.url, **table)) as proxy:
        proxy.wait_for("active")
        yield proxy, engine
        engine.script = None
        engine.let_go()
