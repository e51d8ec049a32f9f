"""One connection to what may be a Redis: an exchange never leaves anything behind for the next one."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from fakes.odd_server import odd_server
from fakes.open_store import until
from scout_proxy.cache.redis_address import parse_redis_url
from scout_proxy.cache.redis_exchange import LinkError
from scout_proxy.cache.redis_link import RedisLink
from scout_proxy.cache.redis_work import READ_PROBE

OK = b"+OK\r\n"


@asynccontextmanager
async def link_to(words: bytes) -> AsyncIterator[RedisLink]:
    """Open a link to a server that answers our commands with these words."""
    async with odd_server(words, to_others=OK) as address:
        link = RedisLink(parse_redis_url(f"redis://{address}"))
        yield link
        await link.close()


async def fail(link: RedisLink, *, timeout_s: float = 5) -> LinkError:
    with pytest.raises(LinkError) as caught:
        await link.exchange([READ_PROBE], timeout_s=timeout_s)
    return caught.value


def test_what_nobody_asked_for_answers_nothing() -> None:
    async def run() -> None:
        async with link_to(b"$3\r\none\r\n$3\r\ntwo\r\n") as link:
            replies = [await link.exchange([READ_PROBE], timeout_s=5) for _ in range(3)]

            assert replies == [[b"one"]] * 3

    asyncio.run(run())


def test_an_exchange_that_failed_leaves_no_connection() -> None:
    async def run() -> None:
        async with link_to(b":1\r\n") as link:
            error = await fail(link)

            assert error.reason == "it answers with a type that was not asked for"
            assert not link._connection.is_connected

    asyncio.run(run())


def test_an_exchange_that_is_cancelled_leaves_no_connection() -> None:
    async def run() -> None:
        async with link_to(b"") as link:
            exchange = asyncio.create_task(link.exchange([READ_PROBE], timeout_s=5))
            await until(lambda: link._connection.is_connected, "the link is connected")
            exchange.cancel()
            await asyncio.gather(exchange, return_exceptions=True)

            assert not link._connection.is_connected

    asyncio.run(run())


def test_no_answer_in_time_is_the_servers_fault() -> None:
    async def run() -> None:
        async with link_to(b"") as link:
            errors = [await fail(link, timeout_s=1)]
            # A machine that stood still for half a second of it may say so instead, but not each time.
            while errors[-1].is_own_delay and len(errors) < 10:
                errors.append(await fail(link, timeout_s=1))

            assert {error.reason for error in errors} == {"no answer within 1 s"}
            assert not errors[-1].is_own_delay

    asyncio.run(run())


def test_no_answer_in_time_is_not_the_servers_fault_where_this_process_was_late_itself() -> None:
    async def run() -> None:
        async with link_to(b"") as link:
            exchange = asyncio.create_task(fail(link, timeout_s=0.05))
            await asyncio.sleep(0)
            # What a busy event loop does: nothing goes on meanwhile.
            time.sleep(0.2)  # noqa: ASYNC251

            assert (await exchange).is_own_delay

    asyncio.run(run())


def test_the_reason_of_a_failure_brings_no_words_of_the_library_with_it() -> None:
    async def run() -> None:
        async with link_to(b"!\r\n") as link:
            error = await fail(link)

            assert error.__cause__ is None

    asyncio.run(run())
