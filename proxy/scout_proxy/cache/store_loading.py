"""Loads the shared cache's client in the background, and only where a profile wants one: it is an extra."""

import asyncio
import importlib
from typing import Any

from scout_proxy.cache.stored_answers import SharedStore

_STORE_MODULE = "scout_proxy.cache.redis_store"


class StoreMissingError(Exception):
    """The client for Redis is not installed; the message says how to install it."""


async def load_redis_store(url: str, **options: Any) -> SharedStore:
    """Import the client in a thread, and open the store in this event loop.

    Args:
        url: The server's.
        options: Those of `RedisStore`.

    Raises:
        StoreMissingError: The extra is missing.
        ValueError: The URL is wrong; the message has no secret.
    """
    try:
        module = await asyncio.to_thread(importlib.import_module, _STORE_MODULE)
    except ImportError as exc:
        raise StoreMissingError(
            f"the client for Redis cannot be imported ({exc}); pip install 'scout-deploy[redis]'"
        ) from exc
    store: SharedStore = module.RedisStore(url, **options)
    return store
