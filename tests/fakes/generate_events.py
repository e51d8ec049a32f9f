"""Reads the events of a streamed `/generate`, as strictly as they are documented."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic_core import from_json


class SentEvent(NamedTuple):
    name: str | None
    payload: Any


def read_events(stream: bytes) -> list[SentEvent]:
    """Return whole events in their order; comments are passed over, anything else is an error."""
    assert stream.endswith(b"\n\n")
    blocks = [block for block in stream[:-2].split(b"\n\n") if not block.startswith(b":")]
    return [_read(block) for block in blocks]


def told_texts(events: list[SentEvent]) -> Mapping[int, str]:
    """Return what was told of each sequence."""
    texts: dict[int, list[str]] = defaultdict(list)
    for name, payload in events:
        if name is None:
            assert list(payload) == ["sequence", "text"]
            texts[payload["sequence"]].append(payload["text"])
    return {sequence: "".join(pieces) for sequence, pieces in texts.items()}


def _read(block: bytes) -> SentEvent:
    *names, data = block.split(b"\n")
    assert data.startswith(b"data: ")
    assert len(names) <= 1
    name = names[0].decode().removeprefix("event: ") if names else None
    return SentEvent(name, from_json(data[6:]))
