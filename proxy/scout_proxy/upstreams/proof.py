"""The proof that an engine generates: one greedy token of a prompt that means nothing."""

import asyncio

from scout_proxy.errors import DeadlineError, ProxyError, UpstreamLostError
from scout_proxy.upstreams.engine import Engine, GenerationParameters

_TEXT = "Hello"
_ONE_TOKEN = GenerationParameters(max_new_tokens=1, do_sample=False)
# The first generation of an engine can include what its warm-up left to do, and waits behind those in its queue.
_TIMEOUT_S = 60.0


class UnprovenError(Exception):
    """The engine answers, but did not generate the token; the message says why."""


async def prove(engine: Engine) -> None:
    """Generate the token.

    Raises:
        UpstreamLostError: The engine cannot be reached.
        UnprovenError: It did not generate.
    """
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await engine.generate(_TEXT, _ONE_TOKEN)
    except UpstreamLostError:
        raise
    except (TimeoutError, DeadlineError) as exc:
        raise UnprovenError(f"no token within {_TIMEOUT_S:g} s of a probe's generation") from exc
    except ProxyError as exc:
        raise UnprovenError(f"a probe's generation failed: {exc.log_reason}") from exc
