"""What the proxy asks of an engine, whatever its protocol. Implementations translate their errors into ours."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class EngineFacts:
    """What an engine says of itself.

    Args:
        max_input_tokens: Most tokens of a prompt, begin-of-text included.
        max_total_tokens: Most tokens of prompt and generation together.
        max_stop_sequences: None where the engine does not say.
    """

    max_input_tokens: int
    max_total_tokens: int
    max_stop_sequences: int | None = None
    model_id: str | None = None
    version: str | None = None


@dataclass(frozen=True, kw_only=True)
class GenerationParameters:
    """How one sequence is generated. None leaves a filter off."""

    max_new_tokens: int
    do_sample: bool
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class Generated:
    """One generated sequence; token counts where the engine gives them."""

    text: str
    prompt_tokens: int | None = None
    generated_tokens: int | None = None


class Engine(Protocol):
    """One upstream. Cancelling a call closes its connection, so that the engine's work stops.

    Every method raises `UpstreamLostError` where the upstream cannot be reached, and other `ProxyError`s
    for what it answers.
    """

    async def probe(self) -> EngineFacts:
        """Return the facts of an engine that serves."""
        ...

    async def count_tokens(self, text: str) -> int:
        """Count the tokens of `text` as the engine would take it, begin-of-text included."""
        ...

    async def generate(self, text: str, parameters: GenerationParameters) -> Generated:
        """Generate one sequence; the answer does not repeat `text`."""
        ...


class Engines(Protocol):
    """Opens engines; they share one pool of connections."""

    def open(self, url: str) -> Engine:
        """Return the engine at a base URL; connects when it is first asked something."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
