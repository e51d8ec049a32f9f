"""The shared cache on a real Redis that is well."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from fakes.open_store import KEY, NOW_S, OTHER_KEY, answer, open_store, texts, until, written
from fakes.redis_server import RedisServer, redis_server
from scout_proxy.cache import redis_store
from scout_proxy.cache.answer_form import HEAD, MAX_VALUE_BYTES
from scout_proxy.cache.redis_store import RedisStore
from scout_proxy.cache.stored_answers import StoreState

STORED_KEY = "scout:answers:v1:" + KEY.hex()


@pytest.fixture(scope="module")
def running_server() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
def server(running_server: RedisServer) -> Iterator[RedisServer]:
    yield running_server
    running_server.ask("FLUSHALL")


def on_store(server: RedisServer, use: Callable[[RedisStore], Awaitable[None]], **options: Any) -> None:
    """Run `use` on a store at this server."""

    async def run() -> None:
        async with open_store(server.url, **options) as store:
            await use(store)

    asyncio.run(run())


def test_what_one_proxy_puts_another_gets(server: RedisServer) -> None:
    async def run() -> None:
        async with open_store(server.url) as one, open_store(server.socket_url) as other:
            one.put(KEY, answer("first", "second", generation_s=1.25))
            await written(one)

            assert await other.get(KEY) == (answer("first", "second", generation_s=1.25),)
            assert await other.get(OTHER_KEY) == ()
            assert (other.status().hits, other.status().misses) == (1, 1)

    asyncio.run(run())


@pytest.mark.parametrize("text", ["", "line\nline\r\n", "\0", "海", '"}\\', "x" * 500_000])
def test_every_text_comes_back_as_it_was(server: RedisServer, text: str) -> None:
    async def use(store: RedisStore) -> None:
        store.put(KEY, answer(text, text))
        await written(store)

        assert await store.get(KEY) == (answer(text, text),)

    on_store(server, use)


def test_a_request_keeps_its_newest_samples(server: RedisServer) -> None:
    async def use(store: RedisStore) -> None:
        for text in ("a", "b", "c", "d"):
            store.put(KEY, answer(text))
        await written(store)

        assert texts(await store.get(KEY)) == ["b", "c", "d"]

    on_store(server, use, samples=3)


def test_the_same_texts_are_kept_once(server: RedisServer) -> None:
    async def run() -> None:
        async with open_store(server.url, samples=4) as one, open_store(server.url, samples=4) as other:
            for store in (one, other) * 10:
                store.put(KEY, answer("same"))
            one.put(KEY, answer("different"))
            other.put(KEY, answer("same", stored_at_s=NOW_S + 1))
            await written(one)
            await written(other)

            assert sorted(texts(await one.get(KEY))) == ["different", "same"]

    asyncio.run(run())


def test_samples_of_two_proxies_at_once_are_all_kept(server: RedisServer) -> None:
    async def run() -> None:
        async with open_store(server.url, samples=40) as one, open_store(server.url, samples=40) as other:
            for index in range(20):
                one.put(KEY, answer(f"one {index}"))
                other.put(KEY, answer(f"other {index}"))
            await written(one)
            await written(other)

            assert len({*texts(await one.get(KEY))}) == 40

    asyncio.run(run())


def test_an_answer_is_given_until_its_time_is_over(server: RedisServer) -> None:
    async def run() -> None:
        now_s = NOW_S
        async with open_store(server.url, clock=lambda: now_s, ttl_s=60) as store:
            store.put(KEY, answer("text"))
            await written(store)
            now_s += 59.9
            before = await store.get(KEY)
            now_s += 0.1

            assert (texts(before), await store.get(KEY)) == (["text"], ())

    asyncio.run(run())


def test_the_server_forgets_an_answer_by_itself(server: RedisServer) -> None:
    async def use(store: RedisStore) -> None:
        store.put(KEY, answer("text", stored_at_s=NOW_S - 20))
        await written(store)

        assert 0 < server.ask("PTTL", STORED_KEY) <= 40_000

    on_store(server, use, ttl_s=60)


def test_a_time_to_live_beyond_the_servers_own_is_its_longest(server: RedisServer) -> None:
    async def use(store: RedisStore) -> None:
        store.put(KEY, answer("text"))
        await written(store)

        assert texts(await store.get(KEY)) == ["text"]

    on_store(server, use, ttl_s=1e300)


def test_an_answer_that_expired_before_it_could_be_written_is_dropped(server: RedisServer) -> None:
    async def use(store: RedisStore) -> None:
        store.put(KEY, answer("old", stored_at_s=NOW_S - 61))

        assert (await written(store)).dropped == 1
        assert not server.ask("EXISTS", STORED_KEY)

    on_store(server, use, ttl_s=60)


@pytest.mark.parametrize(("ahead_s", "is_given"), [(5, True), (3600, False)])
def test_an_answer_of_the_future_is_given_only_where_a_clock_may_run_ahead(
    server: RedisServer, ahead_s: float, is_given: bool
) -> None:
    async def use(store: RedisStore) -> None:
        store.put(KEY, answer("text", stored_at_s=NOW_S + ahead_s))
        await written(store)

        assert bool(await store.get(KEY)) == is_given

    on_store(server, use)


@pytest.mark.parametrize("text", ["x" * MAX_VALUE_BYTES, "\ud800"], ids=["too long", "half a character"])
def test_an_answer_that_is_no_value_is_dropped(server: RedisServer, text: str) -> None:
    async def use(store: RedisStore) -> None:
        store.put(KEY, answer(text))

        assert (store.status().dropped, store.status().backlog) == (1, 0)

    on_store(server, use)


def test_large_samples_push_out_the_oldest(server: RedisServer) -> None:
    async def use(store: RedisStore) -> None:
        for letter in "abcd":
            store.put(KEY, answer(letter * (MAX_VALUE_BYTES // 3)))
        await written(store)

        assert [text[0] for text in texts(await store.get(KEY))] == ["c", "d"]
        assert server.ask("STRLEN", STORED_KEY) <= MAX_VALUE_BYTES

    on_store(server, use, samples=8)


FOREIGN = {
    "a list": ("RPUSH", STORED_KEY, "x"),
    "a hash": ("HSET", STORED_KEY, "x", "y"),
    "text": ("SET", STORED_KEY, "hello"),
    "bytes": ("SET", STORED_KEY, bytes(range(256))),
    "an older form": ("SET", STORED_KEY, b"scout-answers/0\n[]\n"),
    "half a value": ("SET", STORED_KEY, HEAD + b"0" * 32 + b' {"at":1764207512.0,"took":1,"te'),
    "a line of garbage": ("SET", STORED_KEY, HEAD + b"garbage\n"),
    "deep JSON": ("SET", STORED_KEY, HEAD + b"0" * 32 + b" " + b"[" * 100_000 + b"\n"),
    "something huge": ("SETRANGE", STORED_KEY, 50_000_000, "x"),
}


@pytest.mark.parametrize("foreign", FOREIGN)
def test_what_is_not_ours_is_a_miss_and_the_next_answer_replaces_it(server: RedisServer, foreign: str) -> None:
    async def use(store: RedisStore) -> None:
        server.ask(*FOREIGN[foreign])
        before = await store.get(KEY)
        status = store.status()
        store.put(KEY, answer("ours"))
        await written(store)

        assert before == ()
        assert (status.foreign, status.errors, status.state) == (1, 0, StoreState.OK)
        assert texts(await store.get(KEY)) == ["ours"]

    on_store(server, use)


def test_what_is_ours_beside_garbage_is_given(server: RedisServer) -> None:
    async def use(store: RedisStore) -> None:
        store.put(KEY, answer("ours"))
        await written(store)
        server.ask("APPEND", STORED_KEY, "garbage\n")

        assert texts(await store.get(KEY)) == ["ours"]
        assert store.status().foreign == 1

    on_store(server, use, samples=3)


def test_many_gets_at_once_each_get_their_own(server: RedisServer) -> None:
    async def use(store: RedisStore) -> None:
        keys = [bytes([index]) * 32 for index in range(200)]
        for index, key in enumerate(keys):
            store.put(key, answer(f"text {index}"))
        await written(store)

        found = await asyncio.gather(*(store.get(key) for key in keys))

        assert [texts(one) for one in found] == [[f"text {index}"] for index in range(200)]

    on_store(server, use)


def test_more_gets_than_may_wait_are_misses_at_once(server: RedisServer) -> None:
    async def use(store: RedisStore) -> None:
        store.put(KEY, answer("text"))
        await written(store)

        found = await asyncio.gather(*(store.get(KEY) for _ in range(3000)))

        assert {len(one) for one in found} == {0, 1}
        assert sum(map(len, found)) >= 1024
        assert texts(await store.get(KEY)) == ["text"]

    on_store(server, use)


def test_gets_that_leave_do_not_disturb_the_others(server: RedisServer) -> None:
    async def use(store: RedisStore) -> None:
        keys = [bytes([index]) * 32 for index in range(100)]
        for index, key in enumerate(keys):
            store.put(key, answer(f"text {index}"))
        await written(store)

        for round_of in range(20):
            asked = [asyncio.create_task(store.get(key)) for key in keys]
            for _ in range(round_of % 5):
                await asyncio.sleep(0)
            for task in asked[::2]:
                task.cancel()
            found = await asyncio.gather(*asked[1::2])

            assert [texts(one) for one in found] == [[f"text {index}"] for index in range(1, 100, 2)]

        assert store.status().errors == 0

    on_store(server, use)


def test_a_backlog_is_bounded_in_number_and_bytes(server: RedisServer) -> None:
    async def use(store: RedisStore) -> None:
        # None of them can be written before this task waits for something.
        for index in range(20):
            store.put(KEY, answer(f"small {index}"))
        by_number = store.status()
        await written(store)
        for index in range(20):
            store.put(KEY, answer(f"{index}" * 40_000))
        by_bytes = store.status()

        assert (by_number.backlog, by_number.dropped) == (10, 10)
        assert (by_bytes.backlog, by_bytes.dropped) == (2, 28)

    on_store(server, use, max_backlog=10, max_backlog_bytes=100_000)


def test_closing_writes_what_waits(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    # A busy machine needs more than the second after which a proxy ends.
    monkeypatch.setattr(redis_store, "_LAST_WRITES_S", 30.0)

    async def run() -> None:
        async with open_store(server.url, samples=100) as store:
            # One that never wrote anything yet has no last writes: it cannot know that they would be quick.
            await until(lambda: store._writer.is_working, "the store takes answers")
            for index in range(100):
                store.put(KEY, answer(f"text {index}"))
        closed = (store.status().backlog, await store.get(KEY))
        store.put(KEY, answer("too late"))

        async with open_store(server.url, samples=100) as after:
            assert len(await after.get(KEY)) == 100
        assert (closed, store.status().backlog) == ((0, ()), 0)

    asyncio.run(run())


def test_closing_lets_go_of_gets_that_wait(server: RedisServer) -> None:
    async def run() -> None:
        async with open_store(server.url) as store:
            waiting = [asyncio.create_task(store.get(KEY)) for _ in range(10)]
            await asyncio.sleep(0)

        assert await asyncio.gather(*waiting) == [()] * 10

    asyncio.run(run())


def test_a_proxy_holds_two_connections(server: RedisServer) -> None:
    async def use(store: RedisStore) -> None:
        await asyncio.gather(*(store.get(bytes([index]) * 32) for index in range(250)))
        store.put(KEY, answer("text"))
        await written(store)

        def clients() -> int:
            return len(server.ask("CLIENT", "LIST").splitlines())

        # The server may not have seen yet that those of other tests have gone.
        await until(lambda: clients() <= 3, "no more than two, and the one that asks")
        assert clients() == 3

    on_store(server, use)


def test_a_connection_that_the_server_closed_is_replaced_without_a_miss(server: RedisServer) -> None:
    async def use(store: RedisStore) -> None:
        store.put(KEY, answer("text"))
        await written(store)
        for kind in ("normal", "normal"):
            server.ask("CLIENT", "KILL", "TYPE", kind)

            assert texts(await store.get(KEY)) == ["text"]

        store.put(KEY, answer("new"))
        await written(store)

        assert texts(await store.get(KEY)) == ["new"]
        assert store.status().errors == 0

    on_store(server, use)


def test_the_database_of_the_url_is_used(server: RedisServer) -> None:
    async def run() -> None:
        async with open_store(server.url + "/3") as third, open_store(server.socket_url + "?db=3") as same:
            third.put(KEY, answer("text"))
            await written(third)

            assert texts(await same.get(KEY)) == ["text"]
            assert (server.ask("DBSIZE"), server.ask("EXISTS", STORED_KEY)) == (0, 0)

    asyncio.run(run())
