"""How late the event loop is: what every request and every stream waits for besides its own work."""

import asyncio
from time import monotonic

from scout_proxy.observation.instruments import Distribution

_INTERVAL_S = 0.25


async def measure_loop_lag(lag: Distribution, *, interval_s: float = _INTERVAL_S) -> None:
    """Record, until it is cancelled, how late a timer is served."""
    while True:
        due_s = monotonic() + interval_s
        await asyncio.sleep(interval_s)
        lag.observe(max(0.0, monotonic() - due_s))
