"""The shared store as tests use it: patient where nothing is to go wrong, and closed at the end of a block."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from scout_proxy.cache.redis_store import RedisStore
from scout_proxy.cache.stored_answers import StoredAnswer, StoreState, StoreStatus

DEADLINE_S = 30.0
NOW_S = 1_764_207_512.0
KEY = bytes(range(32))
OTHER_KEY = bytes(32)


def answer(*texts: str, stored_at_s: float = NOW_S, generation_s: float = 0.5) -> StoredAnswer:
    """Build an answer of these sequences."""
    return StoredAnswer(texts=texts, stored_at_s=stored_at_s, generation_s=generation_s)


def texts(answers: tuple[StoredAnswer, ...]) -> list[str]:
    """Return the first sequence of each answer."""
    return [one.texts[0] for one in answers]


@asynccontextmanager
async def open_store(url: str, *, is_known: bool = True, **options: Any) -> AsyncIterator[RedisStore]:
    """Open a store that lives at `NOW_S` and has the time of a busy machine, which so fails no test.

    Args:
        is_known: Wait until it gives what it has.
    """
    patience = {"timeout_s": DEADLINE_S, "write_timeout_s": DEADLINE_S, "connect_timeout_s": DEADLINE_S}
    defaults = {"ttl_s": 60, "samples": 1, "clock": lambda: NOW_S, **patience}
    store = RedisStore(url, **{**defaults, **options})
    try:
        if is_known:
            await gives(store)
        yield store
    finally:
        await store.close()


async def gives(store: RedisStore) -> None:
    """Wait until gets are asked."""
    await until(lambda: store._reader.is_working, f"the store gives answers: {store.status()}")


async def until(condition: Callable[[], object], what: str) -> None:
    """Let the event loop go on until `condition` holds; fail with `what` when it does not in time."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {DEADLINE_S} s: {what}")
        await asyncio.sleep(0.002)


async def written(store: RedisStore) -> StoreStatus:
    """Wait until every put has been written, or dropped."""
    await until(lambda: store.status().backlog == 0, "the backlog is written")
    return store.status()


async def seen(store: RedisStore, state: StoreState) -> StoreStatus:
    """Wait until the status says this."""
    await until(lambda: store.status().state is state, f"the store is {state}: {store.status()}")
    return store.status()
