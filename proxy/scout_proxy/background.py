"""Tasks that run beside the requests for as long as the proxy does."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

_log = logging.getLogger(__name__)


def start_in_background(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """Start `work` in the running loop. If it ends by a defect, that is logged at once and not when it is awaited."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_report)
    return task


async def stop(task: asyncio.Task[None]) -> None:
    """Cancel and wait until it has ended."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("a background task ended", extra={"task": task.get_name()}, exc_info=error)
