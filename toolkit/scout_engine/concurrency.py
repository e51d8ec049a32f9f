"""Several generations of one request at once: all of them or none, and several streams as one."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from typing import TypeVar

from scout_engine.errors import RequestError

Result = TypeVar("Result")


async def all_or_none(work: Sequence[Coroutine[object, object, Result]]) -> list[Result]:
    """Return every result in order; the first failure cancels the others.

    Raises:
        RequestError: One of them failed.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except* RequestError as failures:
        error = failures.exceptions[0]
        raise error from error.__cause__
    return [task.result() for task in tasks]


async def merge(streams: Sequence[AsyncGenerator[bytes]]) -> AsyncGenerator[bytes]:
    """Yield what any of `streams` yields, until all have ended; leaving early ends them all."""
    arrived: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def pump(stream: AsyncGenerator[bytes]) -> None:
        try:
            async with aclosing(stream):
                async for chunk in stream:
                    arrived.put_nowait(chunk)
        finally:
            arrived.put_nowait(None)

    tasks = [asyncio.create_task(pump(stream)) for stream in streams]
    try:
        running = len(tasks)
        while running:
            chunk = await arrived.get()
            if chunk is None:
                running -= 1
            else:
                yield chunk
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
