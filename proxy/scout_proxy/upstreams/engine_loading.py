"""Loads the client of the engines' protocol in the background: its libraries cost a third of the proxy's start."""

import asyncio
import importlib

from scout_proxy.upstreams.engine import Engines

_CLIENT_MODULE = "scout_proxy.upstreams.tgi"


async def load_tgi_engines() -> Engines:
    """Import TGI's client in a thread, and open it in this event loop."""
    module = await asyncio.to_thread(importlib.import_module, _CLIENT_MODULE)
    engines: Engines = module.TgiEngines()
    return engines
