"""Which shared store is open follows the table, one change after the other."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from scout_proxy.cache.answer_cache import AnswerCache
from scout_proxy.cache.memory_store import MemoryStore
from scout_proxy.cache.shared_cache import SharedCache
from scout_proxy.cache.store_loading import StoreMissingError
from scout_proxy.cache.stored_answers import StoredAnswer, StoreState, StoreStatus
from scout_proxy.route_table import Cache, CachePolicy

HIDDEN = "hunter2-and-more"


class FakeStore:
    """Keeps nothing; says whether it is open."""

    def __init__(self, url: str, **options: Any) -> None:
        self.url = url
        self.options = options
        self.is_open = True

    async def get(self, key: bytes) -> tuple[StoredAnswer, ...]:
        raise NotImplementedError

    def put(self, key: bytes, answer: StoredAnswer) -> None:
        raise NotImplementedError

    def status(self) -> StoreStatus:
        return StoreStatus(
            state=StoreState.OK, reason=None, since_s=1, hits=7, misses=0, errors=0, foreign=0, dropped=0, backlog=0
        )

    async def close(self) -> None:
        await asyncio.sleep(0)
        self.is_open = False


class Parts:
    """A shared cache whose stores are fakes."""

    def __init__(self, folder: Path) -> None:
        self.cache = AnswerCache(MemoryStore(Cache()))
        self.opened: list[FakeStore] = []
        self.shown: list[Callable[[], StoreStatus]] = []
        self.failure: Exception | None = None
        self.shared = SharedCache(self.cache, folder, on_use=self.shown.append, load=self.load)

    async def load(self, url: str, **options: Any) -> FakeStore:
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        self.opened.append(FakeStore(url, **options))
        return self.opened[-1]

    @property
    def open(self) -> list[FakeStore]:
        return [store for store in self.opened if store.is_open]

    async def settle(self, settings: Cache) -> None:
        """Apply, and wait until that is done."""
        self.shared.apply(settings)
        if self.shared._task is not None:
            await asyncio.wait({self.shared._task})


def on_parts(folder: Path, use: Callable[[Parts], Awaitable[None]]) -> None:
    (folder / "a.url").write_text("redis://a\n")
    (folder / "b.url").write_text("redis://b\n")

    async def run() -> None:
        parts = Parts(folder)
        await use(parts)
        await parts.shared.close()
        assert parts.open == []

    asyncio.run(run())


def test_the_store_of_the_table_is_opened_with_its_settings(tmp_path: Path) -> None:
    async def use(parts: Parts) -> None:
        await parts.settle(Cache(redis_url_file="a.url", ttl_s=60, samples=3))

        assert [(store.url, store.options) for store in parts.open] == [("redis://a\n", {"ttl_s": 60, "samples": 3})]
        assert parts.cache.shared is parts.open[0]
        assert parts.shared.status == parts.open[0].status()

    on_parts(tmp_path, use)


@pytest.mark.parametrize("settings", [Cache(), Cache(redis_url_file="a.url", policy=CachePolicy.OFF)])
def test_a_table_without_a_store_has_no_status_of_one(tmp_path: Path, settings: Cache) -> None:
    async def use(parts: Parts) -> None:
        await parts.settle(settings)

        assert (parts.opened, parts.shared.status, parts.shown) == ([], None, [])

    on_parts(tmp_path, use)


def test_the_same_settings_keep_the_store_and_others_replace_it(tmp_path: Path) -> None:
    async def use(parts: Parts) -> None:
        settings = Cache(redis_url_file="a.url")
        for same in (settings, settings, settings.model_copy(update={"max_bytes": 5})):
            await parts.settle(same)
        first = list(parts.open)
        await parts.settle(settings.model_copy(update={"ttl_s": 5}))

        assert len(first) == 1
        assert not first[0].is_open
        assert parts.cache.shared is parts.open[0]

    on_parts(tmp_path, use)


def test_a_new_url_in_the_same_file_replaces_the_store(tmp_path: Path) -> None:
    async def use(parts: Parts) -> None:
        await parts.settle(Cache(redis_url_file="a.url"))
        (tmp_path / "a.url").write_text("redis://c\n")
        await parts.settle(Cache(redis_url_file="a.url"))

        assert [store.url for store in parts.open] == ["redis://c\n"]

    on_parts(tmp_path, use)


def test_the_last_of_many_quick_changes_wins_and_nothing_is_left_open(tmp_path: Path) -> None:
    async def use(parts: Parts) -> None:
        for turn in range(20):
            parts.shared.apply(Cache(redis_url_file="ab"[turn % 2] + ".url"))
            if turn % 3 == 0:
                await asyncio.sleep(0)
        await parts.settle(Cache(redis_url_file="b.url", ttl_s=7))

        assert [(store.url, store.options["ttl_s"]) for store in parts.open] == [("redis://b\n", 7)]
        assert parts.cache.shared is parts.open[0]
        assert len(parts.shown) == 1

    on_parts(tmp_path, use)


def test_closing_while_a_store_is_opened_leaves_none_open(tmp_path: Path) -> None:
    async def use(parts: Parts) -> None:
        parts.shared.apply(Cache(redis_url_file="a.url"))

    on_parts(tmp_path, use)


def test_until_it_is_open_its_status_is_that(tmp_path: Path) -> None:
    async def use(parts: Parts) -> None:
        parts.shared.apply(Cache(redis_url_file="a.url"))
        status = parts.shared.status

        assert status is not None
        assert (status.state, status.reason) == (StoreState.UNAVAILABLE, "it has not been opened yet")
        assert parts.shown[0]() == status

    on_parts(tmp_path, use)


@pytest.mark.parametrize(
    ("file", "failure", "words"),
    [
        ("missing.url", None, "missing.url cannot be read: No such file"),
        ("binary.url", None, "binary.url is not text"),
        ("a.url", StoreMissingError("pip install it"), "pip install it"),
        ("a.url", ValueError("the Redis URL names no host"), "the Redis URL names no host"),
    ],
)
def test_what_keeps_it_from_opening_is_its_status_and_one_line_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, file: str, failure: Exception | None, words: str
) -> None:
    (tmp_path / "binary.url").write_bytes(HIDDEN.encode() + b"\xff")

    async def use(parts: Parts) -> None:
        parts.failure = failure
        await parts.settle(Cache(redis_url_file=file))
        status = parts.shared.status

        assert status is not None
        assert status.state is StoreState.UNAVAILABLE
        assert words in str(status.reason)
        assert parts.cache.shared is None

        parts.failure = None
        await parts.settle(Cache(redis_url_file="b.url"))

        assert parts.cache.shared is not None

    with caplog.at_level(logging.INFO):
        on_parts(tmp_path, use)

    # Another proxy of this process may log something too.
    said = [record for record in caplog.records if record.name.startswith("scout_proxy.cache")]
    assert [record.getMessage() for record in said] == ["the shared cache cannot be used"]
    assert HIDDEN not in str([vars(record) for record in said])
