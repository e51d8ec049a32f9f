"""What the proxy asks of an engine, whatever its protocol. Implementations translate their errors into ours."""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol


@dataclass(frozen=True, kw_only=True)
class EngineFacts:
    """What an engine says of itself.

    Args:
        max_input_tokens: Most tokens of a prompt, begin-of-text included.
        max_total_tokens: Most tokens of prompt and generation together.
        max_stop_sequences: None where the engine does not say.
        max_concurrent_requests: How many it works on at once before it refuses; None where it does not say.
        info: All that it says, in its own words.
    """

    max_input_tokens: int
    max_total_tokens: int
    max_stop_sequences: int | None = None
    max_concurrent_requests: int | None = None
    model_id: str | None = None
    version: str | None = None
    info: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def least(self, other: "EngineFacts") -> "EngineFacts":
        """Return what both have room for."""
        if other.has_room_of(self):
            return self
        return replace(
            self,
            max_input_tokens=min(self.max_input_tokens, other.max_input_tokens),
            max_total_tokens=min(self.max_total_tokens, other.max_total_tokens),
            max_stop_sequences=_least(self.max_stop_sequences, other.max_stop_sequences),
        )

    def has_room_of(self, other: "EngineFacts") -> bool:
        """Tell whether what fits `other` fits this engine."""
        return (
            self.max_input_tokens >= other.max_input_tokens
            and self.max_total_tokens >= other.max_total_tokens
            and _least(self.max_stop_sequences, other.max_stop_sequences) == other.max_stop_sequences
        )


def _least(one: int | None, other: int | None) -> int | None:
    """Return the smaller limit; None is not known."""
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)


@dataclass(frozen=True, kw_only=True)
class GenerationParameters:
    """How one sequence is generated. None leaves a filter off."""

    max_new_tokens: int
    do_sample: bool
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Generated:
    """One generated sequence; token counts, and why it ended, where the engine says so."""

    text: str
    prompt_tokens: int | None = None
    generated_tokens: int | None = None
    finish_reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Pieces:
    """What came of a sequence since the last pieces: one text for each token, whole characters only.

    Args:
        generated: Set with the last pieces.
    """

    texts: tuple[str, ...]
    generated: Generated | None = None


@dataclass(frozen=True, slots=True)
class Forwarded:
    """An engine's whole answer to a forwarded request: its body, and its headers whatever the case of their names."""

    body: bytes
    headers: Mapping[str, str]


class Event(NamedTuple):
    """One event of a forwarded stream: as it came, and read."""

    payload: bytes
    fields: dict[str, Any]


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

    async def generate(
        self, text: str, parameters: GenerationParameters, headers: Mapping[str, str] | None = None
    ) -> Generated:
        """Generate one sequence; the answer does not repeat `text`.

        Args:
            headers: Passed on, such as a trace's.
        """
        ...

    async def stream(
        self,
        text: str,
        parameters: GenerationParameters,
        take: Callable[[Pieces], bool],
        headers: Mapping[str, str] | None = None,
    ) -> Generated | None:
        """Generate one sequence, and give its pieces to `take` as they come; those that came together at once.

        The texts of all pieces, put together, are the generated text. `take` is called within the turn that brings
        the pieces, so it returns at once; where it returns true, that was enough: the engine stops, and None is
        returned unless those pieces were the last.
        """
        ...

    async def forward(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Forwarded:
        """POST a body to one of the engine's own routes, native or OpenAI's, and return the whole answer."""
        ...

    def forward_stream(
        self, path: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[list[Event], None]:
        """Do the same for a stream: events that came together are given together, and never none.

        What ends a stream of OpenAI's form is left out. An event that is an error is raised. Closed like `stream`.
        """
        ...


class Engines(Protocol):
    """Opens engines; they share one pool of connections."""

    def open(self, url: str) -> Engine:
        """Return the engine at a base URL; connects when it is first asked something."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
