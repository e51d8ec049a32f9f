"""What the API's answers say, of either protocol."""

import json
from dataclasses import dataclass
from typing import Any

from scout_loadtest.client.events import Event

_DONE = "[DONE]"
_LONGEST_MESSAGE = 300


@dataclass(frozen=True)
class Pieces:
    """Sequences, by number, of which more text came."""

    sequences: tuple[int, ...]


@dataclass(frozen=True)
class Usage:
    """The server's own count of tokens."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class Failed:
    """The server says that it failed."""

    message: str


class AnswerError(ValueError):
    """An answer is not what the API gives."""


class End:
    """The answer is whole."""


def read_generate_event(event: Event, sequences: int) -> Pieces | Failed | End:
    """Return what an event of a streamed /generate says.

    Raises:
        AnswerError: It is none of them; why.
    """
    body = _object(event.data)
    if event.name == "error":
        return Failed(message_of(event.data))
    if event.name == "done":
        check_texts(event.data, sequences)
        return End()
    sequence, text = body.get("sequence"), body.get("text")
    if not isinstance(sequence, int) or not isinstance(text, str):
        raise AnswerError(f"an event has no sequence or no text: {_short(event.data)}")
    return Pieces((sequence,) if text else ())


def read_chat_event(event: Event) -> Pieces | Usage | Failed | End:
    """Return what an event of a streamed chat completion says.

    Raises:
        AnswerError: It is none of them; why.
    """
    if event.data.strip() == _DONE:
        return End()
    body = _object(event.data)
    if body.get("error") is not None:
        return Failed(message_of(event.data))
    choices, usage = body.get("choices"), body.get("usage")
    if not choices and isinstance(usage, dict):
        return Usage(_count(usage, "prompt_tokens"), _count(usage, "completion_tokens"))
    if not isinstance(choices, list):
        raise AnswerError(f"an event has no choices: {_short(event.data)}")
    try:
        found = [choice["index"] for choice in choices if (choice.get("delta") or {}).get("content")]
    except (AttributeError, KeyError, TypeError):
        raise AnswerError(f"an event has choices of another form: {_short(event.data)}") from None
    return Pieces(tuple(found))


def check_texts(body: str, sequences: int) -> None:
    """Check that a whole answer of /generate has the texts that were asked for.

    Raises:
        AnswerError: It has not.
    """
    texts = _object(body).get("generated_texts")
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise AnswerError(f"the answer has no generated_texts: {_short(body)}")
    if len(texts) != sequences:
        raise AnswerError(f"the answer has {len(texts)} texts, {sequences} were asked for")


def message_of(body: str) -> str:
    """Return what an error's body says in words, of whichever shape it is."""
    try:
        said: Any = json.loads(body)
    except (ValueError, RecursionError):
        return _short(body.strip())
    for name in ("detail", "error", "message"):
        if isinstance(said, dict) and name in said:
            said = said[name]
    return said if isinstance(said, str) else _short(json.dumps(said))


def _object(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        raise AnswerError(f"not JSON: {_short(text)}") from None
    if not isinstance(body, dict):
        raise AnswerError(f"not an object: {_short(text)}")
    return body


def _count(usage: dict[str, Any], name: str) -> int:
    value = usage.get(name)
    if not isinstance(value, int):
        raise AnswerError(f"usage has no {name}: {_short(json.dumps(usage))}")
    return value


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[: _LONGEST_MESSAGE - 3]}..."
