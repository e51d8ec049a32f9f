"""Keeps the shared store that the route table names open, and gives it to the response cache."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import time

from scout_proxy.background import start_in_background
from scout_proxy.cache.answer_cache import AnswerCache
from scout_proxy.cache.store_loading import StoreMissingError, load_redis_store
from scout_proxy.cache.stored_answers import SharedStore, StoreState, StoreStatus
from scout_proxy.route_table import Cache, CachePolicy

_log = logging.getLogger(__name__)

_MOST_URL_BYTES = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    url: str = field(repr=False)
    problem: str | None
    ttl_s: float
    samples: int


class SharedCache:
    """Follows the table. What is wrong with the store's own set-up is its status too, and never stops the proxy.

    Args:
        folder: Where the route table lies, and the file with the URL.
        on_use: Told once, when the table names a store for the first time.
        load: Opens the store at a URL.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        cache: AnswerCache,
        folder: Path,
        *,
        on_use: Callable[[Callable[[], StoreStatus]], None] = lambda _: None,
        load: Callable[..., Awaitable[SharedStore]] = load_redis_store,
        clock: Callable[[], float] = time,
    ) -> None:
        self._cache = cache
        self._folder = folder
        self._on_use = on_use
        self._load = load
        self._clock = clock
        self._is_used = False
        self._wanted: _Wanted | None = None
        self._without_store = self._unavailable("it has not been opened yet")
        self._task: asyncio.Task[None] | None = None

    @property
    def status(self) -> StoreStatus | None:
        """The store's; None where the table names none."""
        return self._status() if self._wanted is not None else None

    def apply(self, settings: Cache) -> None:
        """Take what the table says; needs a running event loop."""
        wanted = self._read(settings)
        if wanted == self._wanted:
            return
        self._wanted = wanted
        before = self._cache.shared
        self._cache.shared = None
        self._without_store = self._unavailable("it has not been opened yet")
        if wanted is not None and not self._is_used:
            self._is_used = True
            self._on_use(self._status)
        self._task = start_in_background(self._change(self._task, before, wanted), "open the shared cache")

    async def close(self) -> None:
        """Close the store, so that what waits is written where that is quick."""
        self._wanted = None
        if self._task is not None:
            await asyncio.wait({self._task})
        if self._cache.shared is not None:
            await self._cache.shared.close()

    def _status(self) -> StoreStatus:
        return self._without_store if self._cache.shared is None else self._cache.shared.status()

    def _read(self, settings: Cache) -> _Wanted | None:
        if settings.redis_url_file is None or settings.policy is CachePolicy.OFF:
            return None
        url, problem = "", None
        try:
            with (self._folder / settings.redis_url_file).open("rb") as file:
                url = file.read(_MOST_URL_BYTES).decode()
        except OSError as exc:
            problem = f"{settings.redis_url_file} cannot be read: {exc.strerror}"
        except UnicodeDecodeError:
            problem = f"{settings.redis_url_file} is not text"
        return _Wanted(url=url, problem=problem, ttl_s=settings.ttl_s, samples=settings.samples)

    async def _change(
        self, last: asyncio.Task[None] | None, before: SharedStore | None, wanted: _Wanted | None
    ) -> None:
        """Close the store from before and open the wanted one, where it is still wanted; one change after the other."""
        if last is not None:
            await asyncio.wait({last})
        if before is not None:
            await before.close()
        if wanted is None or wanted is not self._wanted:
            return
        try:
            store = await self._open(wanted)
        except (StoreMissingError, ValueError) as exc:
            self._without_store = self._unavailable(str(exc))
            _log.error("the shared cache cannot be used", extra={"reason": str(exc)})
            return
        if wanted is self._wanted:
            self._cache.shared = store
        else:
            await store.close()

    async def _open(self, wanted: _Wanted) -> SharedStore:
        if wanted.problem is not None:
            raise ValueError(wanted.problem)
        return await self._load(wanted.url, ttl_s=wanted.ttl_s, samples=wanted.samples)

    def _unavailable(self, reason: str) -> StoreStatus:
        return StoreStatus(
            state=StoreState.UNAVAILABLE,
            reason=reason,
            since_s=self._clock(),
            hits=0,
            misses=0,
            errors=0,
            foreign=0,
            dropped=0,
            backlog=0,
        )
