"""The fake engine's streams of events: what they hold, how fast they come, and how they end."""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import count
from typing import Any

from fakes.engine_waits import Gate

Json = dict[str, Any]


class Ending(Enum):
    """How a stream ends; all but WHOLE after `Stream.ends_after` tokens."""

    WHOLE = "whole"
    GENERATION = "generation"
    OVERLOADED = "overloaded"
    VALIDATION = "validation"
    UNTYPED = "untyped"
    CLOSED = "closed"
    CUT_OFF = "cut off"
    HALF_AN_EVENT = "half an event"
    GARBAGE = "garbage"
    ODD_OBJECT = "odd object"
    NO_OBJECT = "no object"
    ENDLESS = "endless"
    ONE_GREAT_EVENT = "one great event"
    SILENCE = "silence"
    NEVER_ENDS = "never ends"


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One script for every stream.

    Args:
        tokens: Texts; one in <> is a special token.
        delay_s: Before each token.
        generated_text: Of the last event, where it is another text than that of the tokens.
        together: All at once, as one write.
    """

    tokens: Sequence[str] = (" one", " two", " three")
    delay_s: float = 0.0
    ending: Ending = Ending.WHOLE
    ends_after: int = 0
    generated_text: str | None = None
    finish_reason: str = "length"
    together: bool = False

    @property
    def text(self) -> str:
        return "".join(token for token in self.tokens if not _is_special(token))

    @property
    def is_whole(self) -> bool:
        return self.ending in {Ending.WHOLE, Ending.NEVER_ENDS}

    def is_last(self, index: int) -> bool:
        return self.is_whole and index == len(self.tokens)


_ERRORS: dict[Ending, tuple[str, str]] = {
    Ending.GENERATION: ("Request failed during generation: CUDA out of memory", "generation"),
    Ending.OVERLOADED: ("Model is overloaded", "overloaded"),
    Ending.VALIDATION: ("Input validation error: `x` must be y", "validation"),
    Ending.UNTYPED: ("something else", "stream_serialization_error"),
}
_RAW: dict[Ending, bytes] = {
    Ending.CUT_OFF: b"",
    Ending.HALF_AN_EVENT: b'data: {"index": 1, "token"',
    Ending.GARBAGE: b"data: {not json\n\n",
    Ending.ODD_OBJECT: b'data: {"index": 1}\n\n',
    Ending.NO_OBJECT: b"data: [1]\n\n",
}
_GREAT = b"x" * 2**20


class EventWriter:
    """Writes one script to a client.

    Args:
        event: Gives the payloads for a token's index, from 1 on, and its text.
        error: Gives the payload for an error's message and type.
        count: Told the bytes of what is written.
        end: Written behind the last event.
        gate: Holds back each token.
    """

    def __init__(
        self,
        writer: asyncio.StreamWriter,
        script: Stream,
        *,
        event: Callable[[int, str], list[Json]],
        error: Callable[[str, str], Json],
        count: Callable[[int], None],
        end: bytes = b"",
        gate: Gate | None = None,
    ) -> None:
        self._writer = writer
        self._script = script
        self._event = event
        self._error = error
        self._count = count
        self._end = end
        self._gate = gate

    async def write(self) -> bool:
        """Return whether the connection can be used again.

        Raises:
            ConnectionError: The client is gone.
        """
        script = self._script
        self._writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        tokens = script.tokens if script.is_whole else script.tokens[: script.ends_after]
        if script.together:
            self._chunk(b"".join(map(_bytes_of, self._payloads(tokens))) + self._end)
            return self._finish()
        for payload in self._payloads(tokens):
            if script.delay_s:
                await asyncio.sleep(script.delay_s)
            if self._gate is not None:
                await self._gate.wait()
            self._chunk(_bytes_of(payload))
            await self._writer.drain()
        return await (self._finish_or_stay() if script.is_whole else self._break_off())

    def _payloads(self, tokens: Sequence[str]) -> Iterator[Json]:
        for index, token in enumerate(tokens, 1):
            yield from self._event(index, token)

    async def _finish_or_stay(self) -> bool:
        if self._end:
            self._chunk(self._end)
        if self._script.ending is Ending.NEVER_ENDS:
            await asyncio.sleep(60)
        return self._finish()

    def _finish(self) -> bool:
        self._writer.write(b"0\r\n\r\n")
        return True

    async def _break_off(self) -> bool:
        match self._script.ending:
            case Ending.CLOSED:
                self._writer.transport.abort()
                return False
            case Ending.SILENCE:
                await asyncio.sleep(60)
            case Ending.ENDLESS:
                for index in count(self._script.ends_after + 1):
                    self._chunk(b"".join(map(_bytes_of, self._event(index, " more"))))
                    await self._writer.drain()
                    if index % 64 == 0:
                        await asyncio.sleep(0)
            case Ending.ONE_GREAT_EVENT:
                self._chunk(b"data: ")
                while True:
                    self._chunk(_GREAT)
                    await self._writer.drain()
            case ending if ending in _ERRORS:
                self._chunk(_bytes_of(self._error(*_ERRORS[ending])) + self._end)
            case ending:
                if _RAW[ending]:
                    self._chunk(_RAW[ending])
        return self._finish()

    def _chunk(self, data: bytes) -> None:
        self._count(len(data))
        self._writer.write(b"%x\r\n%b\r\n" % (len(data), data))


def native_event(script: Stream, body: Json) -> Callable[[int, str], list[Json]]:
    """Give TGI's events; the last one has the whole text, and the details where the body asks for them."""
    details = {"finish_reason": script.finish_reason, "seed": None, "input_length": 3}

    def event(index: int, text: str) -> list[Json]:
        is_last = script.is_last(index)
        whole = script.text if script.generated_text is None else script.generated_text
        wanted = is_last and body.get("parameters", {}).get("details")
        return [
            {
                "index": index,
                "token": {"id": index, "text": text, "logprob": -0.5, "special": _is_special(text)},
                "generated_text": whole if is_last else None,
                "details": {**details, "generated_tokens": index} if wanted else None,
            }
        ]

    return event


DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


def _openai_head(kind: str) -> Json:
    return {"object": kind, "id": "", "created": 1, "model": "fake/model", "system_fingerprint": "3.3.6-native"}


def chat_event(script: Stream, body: Json) -> Callable[[int, str], list[Json]]:
    """Give the events of a chat as TGI has them: every one with the role, the last one with the reason."""
    head = {**_openai_head("chat.completion.chunk"), "usage": None}

    def event(index: int, text: str) -> list[Json]:
        is_last = script.is_last(index)
        delta = {"role": "assistant", "content": "" if _is_special(text) else text}
        reason = script.finish_reason if is_last else None
        logprobs = {"content": [_logprob(text)]} if body.get("logprobs") else None
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        wanted = is_last and (body.get("stream_options") or {}).get("include_usage")
        return [{**head, "choices": [choice]}, *([{**head, "choices": [], "usage": USAGE}] if wanted else [])]

    return event


def completion_event(script: Stream) -> Callable[[int, str], list[Json]]:
    """Give the events of a completion as TGI has them: the last one with the counts."""

    def event(index: int, text: str) -> list[Json]:
        is_last = script.is_last(index)
        told = "" if _is_special(text) else text
        reason = script.finish_reason if is_last else ""
        choice = {"index": 0, "text": told, "logprobs": None, "finish_reason": reason}
        return [{**_openai_head("text_completion"), "choices": [choice], **({"usage": USAGE} if is_last else {})}]

    return event


def _logprob(text: str) -> Json:
    return {"token": text, "logprob": -0.5, "top_logprobs": [{"token": text, "logprob": -0.5}]}


def openai_whole(script: Stream, body: Json, message: Json | None) -> Json:
    """Give an unstreamed answer of a /v1 route: the script's text, or this message."""
    is_chat = "messages" in body
    logprobs = {"content": [_logprob(text) for text in script.tokens]} if body.get("logprobs") else None
    told = {"message": message or {"role": "assistant", "content": script.text}} if is_chat else {"text": script.text}
    choice = {"index": 0, **told, "logprobs": logprobs, "finish_reason": script.finish_reason}
    head = _openai_head("chat.completion" if is_chat else "text_completion")
    return {**head, "choices": [choice], "usage": USAGE}


def openai_error(message: str, kind: str) -> Json:
    assert kind
    return {"error": {"message": message, "http_status_code": 422}}


def native_error(message: str, kind: str) -> Json:
    return {"error": message, "error_type": kind}


def _is_special(token: str) -> bool:
    return token.startswith("<") and token.endswith(">")


def _bytes_of(payload: Json) -> bytes:
    return b"data: %b\n\n" % json.dumps(payload, ensure_ascii=False).encode()
