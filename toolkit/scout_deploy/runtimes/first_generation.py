"""The proof that a deployment works: one generation, through the proxy, as a client would ask for it."""

import http.client
import threading
import time
from collections.abc import Mapping
from typing import Protocol

from scout_deploy.api_client import ApiAnswer

_RETRY_S = 0.03
_SERVICE_UNAVAILABLE = 503


class FirstGenerationError(Exception):
    """The generation failed; the message says how."""


class Ask(Protocol):
    """Asks the API something; `call_api` with its address."""

    def __call__(
        self, path: str, *, body: Mapping[str, object] | None = None, timeout_s: float, fresh: bool = False
    ) -> ApiAnswer:
        """See `scout_deploy.api_client.call_api`."""
        ...


def first_generation(ask: Ask, *, deadline_s: float, stop: threading.Event) -> None:
    """Wait until the API generates one token. Blocks.

    Args:
        deadline_s: On the monotonic clock.
        stop: Set by whoever no longer wants to know; ends the wait.

    Raises:
        FirstGenerationError: It answered with an error, or did not answer in time.
    """
    last = "no answer yet"
    while not stop.is_set():
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise FirstGenerationError(f"no generation in time; the last answer: {last}")
        try:
            # An answer that is stored since an earlier deployment, in a shared cache, proves nothing of this one.
            answer = ask("/generate", body={"prompt": "1 2 3", "max_length": 1}, timeout_s=left_s, fresh=True)
        except (OSError, http.client.HTTPException) as exc:
            last = str(exc)
        else:
            if _settled(answer):
                return
            last = f"{answer.status} {answer.detail}"
        # The proxy is still starting, or has not noticed the engine yet.
        stop.wait(_RETRY_S)


def _settled(answer: ApiAnswer) -> bool:
    if answer.status == http.client.OK:
        return True
    if answer.status == _SERVICE_UNAVAILABLE:
        return False
    raise FirstGenerationError(f"the first generation was answered with {answer.status}: {answer.detail}")
