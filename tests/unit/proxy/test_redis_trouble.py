"""The shared cache on a real Redis that is slow, gone, full, or comes back: no get fails, and none waits for long."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import pytest

from fakes.open_store import KEY, NOW_S, OTHER_KEY, answer, gives, open_store, seen, texts, until, written
from fakes.redis_server import RedisServer, redis_server
from scout_proxy.cache.redis_store import RedisStore
from scout_proxy.cache.stored_answers import StoredAnswer, StoreState

# Half of it late is late by this machine's own fault.
QUICK_S = 0.2
# Few; those that a busy machine itself was late for are not held against the server.
MOST_ASKED = 100
PATIENCE_S = 20.0


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


def on_store(server: RedisServer, use: Callable[[RedisStore], Awaitable[None]], **options: Any) -> None:
    """Run `use` on a store at this server that holds one answer under `KEY`."""

    async def run() -> None:
        async with open_store(server.url, **options) as store:
            store.put(KEY, answer("text"))
            await written(store)
            await use(store)

    asyncio.run(run())


async def asked(store: RedisStore) -> list[tuple[StoredAnswer, ...]]:
    """Get until the store is given up, and return what came."""
    found = []
    while store.status().state is not StoreState.UNAVAILABLE:
        found.append(await store.get(KEY))
    return found


def without_waiting(get: Coroutine[Any, Any, tuple[StoredAnswer, ...]]) -> tuple[StoredAnswer, ...]:
    """Return what it gives without a turn of the event loop."""
    try:
        get.send(None)
    except StopIteration as end:
        found: tuple[StoredAnswer, ...] = end.value
        return found
    get.close()
    raise AssertionError("it waits for something")


async def until_given(store: RedisStore, text: str) -> None:
    """Get until this is what comes: on a busy machine a short time is not enough for every get."""
    async with asyncio.timeout(30):
        while texts(await store.get(KEY)) != [text]:
            pass


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the cache logs; another proxy of this process may log something too."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("scout_proxy.cache")]


def test_a_server_that_hangs_keeps_no_get_longer_than_its_time_and_soon_none_at_all(server: RedisServer) -> None:
    async def use(store: RedisStore) -> None:
        server.pause()
        loop = asyncio.get_running_loop()
        began = loop.time()
        found = await asked(store)
        took_s = loop.time() - began
        status = store.status()

        assert found == [()] * len(found)
        assert len(found) <= MOST_ASKED
        assert took_s < len(found) * QUICK_S + PATIENCE_S
        assert without_waiting(store.get(KEY)) == ()
        assert status.reason == f"127.0.0.1:{server.port}: no answer within {QUICK_S:g} s"

        server.resume()
        await seen(store, StoreState.OK)
        await until_given(store, "text")

    on_store(server, use, timeout_s=QUICK_S)


def test_many_gets_at_a_server_that_hangs_all_end_together(server: RedisServer) -> None:
    async def use(store: RedisStore) -> None:
        server.pause()
        began = asyncio.get_running_loop().time()
        found = await asyncio.gather(*(store.get(KEY) for _ in range(500)))

        assert found == [()] * 500
        # One after the other they would take longer.
        assert asyncio.get_running_loop().time() - began < QUICK_S + PATIENCE_S < 500 * QUICK_S

    on_store(server, use, timeout_s=QUICK_S)


def test_a_server_that_answers_too_late_is_not_asked(server: RedisServer) -> None:
    async def use(store: RedisStore) -> None:
        server.ask("CLIENT", "PAUSE", 600_000, "ALL")

        assert len(await asked(store)) <= MOST_ASKED
        assert store.status().errors >= 3

    on_store(server, use, timeout_s=QUICK_S)


def test_late_answers_never_reach_another_get(server: RedisServer) -> None:
    async def use(store: RedisStore) -> None:
        for index in range(50):
            store.put(bytes([index]) * 32, answer(f"text {index}"))
        await written(store)
        for _ in range(3):
            await gives(store)
            server.pause()
            await asyncio.gather(*(store.get(bytes([index]) * 32) for index in range(50)))
            server.resume()
            for index in range(50):
                assert texts(await store.get(bytes([index]) * 32)) in ([], [f"text {index}"])

    on_store(server, use, timeout_s=QUICK_S)


def test_gets_that_leave_a_server_that_hangs_spoil_nothing(server: RedisServer) -> None:
    async def use(store: RedisStore) -> None:
        store.put(OTHER_KEY, answer("other"))
        await written(store)
        server.pause()
        leaving = [asyncio.create_task(store.get(KEY)) for _ in range(100)]
        await asyncio.sleep(0)
        for task in leaving:
            task.cancel()
        ended = await asyncio.gather(*leaving, return_exceptions=True)
        server.resume()

        assert {type(one) for one in ended} == {asyncio.CancelledError}
        assert texts(await store.get(OTHER_KEY)) == ["other"]
        assert store.status().errors == 0

    on_store(server, use)


def test_a_server_that_is_gone_from_the_beginning_is_seen_and_found_later(caplog: pytest.LogCaptureFixture) -> None:
    async def run(server: RedisServer) -> None:
        async with open_store(server.url, is_known=False) as store:
            store.put(KEY, answer("kept"))
            before = await store.get(KEY)
            status = await seen(store, StoreState.UNAVAILABLE)

            assert before == ()
            assert f"127.0.0.1:{server.port}: " in str(status.reason)
            assert "refused" in str(status.reason) or "Connect call failed" in str(status.reason)
            assert (status.backlog, status.since_s) == (1, NOW_S)

            server.start()
            await seen(store, StoreState.OK)
            await written(store)

            assert texts(await store.get(KEY)) == ["kept"]

    with redis_server(is_started=False) as server, caplog.at_level(logging.INFO):
        asyncio.run(run(server))

    assert events(caplog) == ["the shared cache fails", "the shared cache works again"]


def test_a_server_that_dies_unasked_is_seen(server: RedisServer) -> None:
    async def use(store: RedisStore) -> None:
        server.kill()
        await seen(store, StoreState.UNAVAILABLE)

    on_store(server, use, idle_probe_s=0.01)


def test_a_server_that_is_killed_and_started_under_load_fails_nothing(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def use(store: RedisStore) -> None:
        hits, is_over = 0, False

        async def load(number: int) -> None:
            nonlocal hits
            key = bytes([number]) * 32
            while not is_over:
                found = await store.get(key)
                hits += bool(found)
                assert texts(found) in ([], [f"text {number}"])
                if not found:
                    store.put(key, answer(f"text {number}"))
                await asyncio.sleep(0)

        async def more_hits() -> None:
            before = hits
            await until(lambda: hits > before + 100, f"more hits: {store.status()}")

        clients = [asyncio.create_task(load(number)) for number in range(20)]
        await more_hits()
        for _ in range(3):
            server.kill()
            await seen(store, StoreState.UNAVAILABLE)
            # In a thread: the load goes on meanwhile.
            await asyncio.to_thread(server.start)
            await seen(store, StoreState.OK)
            await more_hits()
        is_over = True
        await asyncio.gather(*clients)

    with caplog.at_level(logging.INFO):
        on_store(server, use)

    said = events(caplog)
    assert len(said) <= 3 * 4, "one line for each change of gets and of puts"
    ours = ("scout_proxy.cache", "scout_proxy.background")
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR and one.name.startswith(ours)]


def test_what_was_generated_during_an_outage_is_written_after_it(server: RedisServer) -> None:
    async def use(store: RedisStore) -> None:
        server.kill()
        await seen(store, StoreState.UNAVAILABLE)
        for index in range(5):
            store.put(bytes([index]) * 32, answer(f"text {index}"))
        server.start()
        await seen(store, StoreState.OK)
        await written(store)

        assert [texts(await store.get(bytes([index]) * 32)) for index in range(5)] == [
            [f"text {index}"] for index in range(5)
        ]
        assert store.status().dropped == 0

    on_store(server, use, idle_probe_s=0.01)


def test_a_backlog_stays_bounded_through_a_long_outage(server: RedisServer) -> None:
    async def use(store: RedisStore) -> None:
        server.kill()
        await seen(store, StoreState.UNAVAILABLE)
        for index in range(10_000):
            store.put(OTHER_KEY, answer(f"text {index}"))

        assert store.status().backlog == 100
        assert store.status().dropped == 9_900

    on_store(server, use, idle_probe_s=0.01, max_backlog=100)


def test_a_full_server_still_gives_and_takes_again_when_it_has_room(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def use(store: RedisStore) -> None:
        server.set_limit("maxmemory", 1)
        store.put(OTHER_KEY, answer("more"))
        status = await seen(store, StoreState.READ_ONLY)

        assert "takes no answers: it is full" in str(status.reason)
        assert texts(await store.get(KEY)) == ["text"]

        server.set_limit("maxmemory", 0)
        await seen(store, StoreState.OK)
        store.put(OTHER_KEY, answer("again"))
        await written(store)

        assert texts(await store.get(OTHER_KEY)) == ["again"]

    with caplog.at_level(logging.INFO):
        on_store(server, use)

    assert events(caplog)[-2:] == ["the shared cache fails", "the shared cache works again"]


def test_a_server_that_fills_up_ends_in_no_error(server: RedisServer) -> None:
    async def use(store: RedisStore) -> None:
        memory = server.ask("INFO", "memory")
        server.set_limit("maxmemory", memory["used_memory"] + 500_000)
        # What it keeps of connections comes and goes: it can have room again before the last put.
        full = None
        for index in range(200):
            store.put(index.to_bytes(32), answer(str(index % 10) * 10_000))
            if index % 20 == 0:
                await asyncio.sleep(0.001)
            assert await store.get(KEY) != ()
            if full is None and store.status().state is StoreState.READ_ONLY:
                full = store.status()
        status = full or await seen(store, StoreState.READ_ONLY)

        assert status.backlog > 0

    on_store(server, use)


def test_a_server_that_evicts_takes_everything(server: RedisServer) -> None:
    async def use(store: RedisStore) -> None:
        memory = server.ask("INFO", "memory")
        server.set_limit("maxmemory-policy", "allkeys-lru")
        server.set_limit("maxmemory", memory["used_memory"] + 1_000_000)
        for index in range(300):
            store.put(index.to_bytes(32), answer(str(index % 10) * 10_000))
        status = await written(store)

        assert (status.state, status.dropped, status.errors) == (StoreState.OK, 0, 0)
        assert await store.get((299).to_bytes(32)) != ()

    on_store(server, use)


def test_a_replica_gives_and_takes_nothing(server: RedisServer) -> None:
    async def use(store: RedisStore) -> None:
        # Of nothing that runs: it keeps what it has.
        server.ask("REPLICAOF", "127.0.0.1", "1")
        store.put(OTHER_KEY, answer("more"))
        status = await seen(store, StoreState.READ_ONLY)

        assert "it is a replica" in str(status.reason)
        assert texts(await store.get(KEY)) == ["text"]

        server.ask("REPLICAOF", "NO", "ONE")
        await seen(store, StoreState.OK)

    on_store(server, use)


def test_a_server_that_still_loads_is_waited_for() -> None:
    async def run(server: RedisServer) -> None:
        async with open_store(server.url, is_known=False) as store:
            status = await seen(store, StoreState.UNAVAILABLE)

            assert "it still loads its data" in str(status.reason)

            # It reads the new value between two keys.
            server.set_limit("key-load-delay", 0)
            await seen(store, StoreState.OK)

    with redis_server("loading-process-events-interval-bytes 1024") as server:
        with server.client() as operator:
            for index in range(500):
                # Of bytes that cannot be packed, so that it looks at its clients after each key.
                operator.set(index, os.urandom(2000))
            operator.save()
        server.kill()
        server.configure("loading-process-events-interval-bytes 1024", "key-load-delay 20000")
        server.spawn()
        server.wait_until_it_takes_connections()
        asyncio.run(run(server))


def test_a_server_that_is_busy_with_a_script_is_not_waited_for(server: RedisServer) -> None:
    async def use(store: RedisStore) -> None:
        server.set_limit("lua-time-limit", 10)
        script = asyncio.create_task(asyncio.to_thread(server.ask_badly, "EVAL", "while true do end", 0))
        await asked(store)
        await until(lambda: "BUSY" in str(store.status().reason), f"it says that it is busy: {store.status()}")
        server.ask("SCRIPT", "KILL")
        await script
        await seen(store, StoreState.OK)

        await until_given(store, "text")

    on_store(server, use, timeout_s=QUICK_S)


def test_a_server_that_takes_no_more_clients_is_waited_for(server: RedisServer) -> None:
    async def run() -> None:
        async with open_store(server.url, is_known=False) as store:
            await seen(store, StoreState.UNAVAILABLE)
            operator.config_set("maxclients", 10)
            await seen(store, StoreState.OK)

    with server.client() as operator:
        # On the one connection that stays: a server may not have seen yet that another one has gone.
        operator.config_set("maxclients", 1)
        asyncio.run(run())
