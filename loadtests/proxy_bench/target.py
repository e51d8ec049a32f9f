"""What a load generator asks, and of whom."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from proxy_bench.request_text import PLACEHOLDER

PROMPT = f"Summarise in one sentence what a reverse proxy does, for reader {PLACEHOLDER}."
# Few, because FastAPI + AsyncClient parses a model of each one and the others do not.
TOKENS = 16


@dataclass(frozen=True, kw_only=True)
class Target:
    """A POST.

    Args:
        body: Has `PLACEHOLDER` in it once.
    """

    name: str
    url: str
    path: str = "/generate"
    body: str = json.dumps({"prompt": PROMPT, "max_length": TOKENS})
    headers: Mapping[str, str] = field(default_factory=dict)

    def streaming(self, tokens: int) -> "Target":
        """The same prompt by the documented route, streamed."""
        return replace(self, body=json.dumps({"prompt": PROMPT, "max_length": tokens, "stream": True}))


def engine_target(url: str, path: str, tokens: int, name: str = "engine itself") -> Target:
    """The same prompt by the engine's own protocol."""
    body = {"inputs": PROMPT, "parameters": {"max_new_tokens": tokens}}
    return Target(name=name, url=url, path=path, body=json.dumps(body))
