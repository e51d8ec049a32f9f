"""From the choices of the engine's own /v1 routes to those of ours: one sequence of a chat or of a completion. Pure.

TGI's differ from OpenAI's: stop strings stay in the text, an ending by one or by the end-of-text token has a name of
its own, a tool call's arguments are sometimes an object, a completion's reason is empty while it goes on.
"""

from collections.abc import Sequence
from typing import Any

from pydantic_core import to_json

from scout_proxy.generate.stop_strings import StopScanner, cut_at_stop
from scout_proxy.observation.observed_generation import CHAT, TEXT_COMPLETION

Json = dict[str, Any]

_STOP = "stop"
_TOOL_CALLS = "tool_calls"
_REASONS = {"eos_token": _STOP, "stop_sequence": _STOP}


class ChatForm:
    """A chat's choices."""

    operation = CHAT
    whole_kind = "chat.completion"
    piece_kind = "chat.completion.chunk"
    id_prefix = "chatcmpl-"

    def whole(self, choice: Json, stops: Sequence[str]) -> Json:
        """Return the choice of a whole answer, its index left out."""
        message = choice["message"]
        content, calls = message.get("content"), _tool_calls(message.get(_TOOL_CALLS))
        text = content if content is None else cut_at_stop(content, stops)
        is_cut = text != content
        answer: Json = {"role": "assistant", "content": text}
        if calls:
            answer[_TOOL_CALLS] = calls
        logprobs = _logprobs(choice.get("logprobs"))
        if is_cut and logprobs:
            logprobs["content"] = _within(logprobs["content"], len(text or ""))
        return {"message": answer, "logprobs": logprobs, "finish_reason": _reason(choice, is_cut=is_cut, calls=calls)}

    def piece(self, choice: Json) -> tuple[str, Json, Json | None]:
        """Return of one event's choice the text, what else its delta holds, and the logprobs."""
        delta = choice.get("delta") or {}
        calls = _tool_calls(delta.get(_TOOL_CALLS))
        return delta.get("content") or "", {_TOOL_CALLS: calls} if calls else {}, _logprobs(choice.get("logprobs"))

    def told(self, text: str, rest: Json, *, is_first: bool) -> Json:
        """Return a choice that tells a piece."""
        role = {"role": "assistant"} if is_first else {}
        content = {} if rest and not text else {"content": text}
        return {"delta": {**role, **content, **rest}}

    def ended(self) -> Json:
        """Return a choice that tells the end."""
        return {"delta": {}}


class CompletionForm:
    """A completion's choices."""

    operation = TEXT_COMPLETION
    whole_kind = "text_completion"
    piece_kind = "text_completion"
    id_prefix = "cmpl-"

    def whole(self, choice: Json, stops: Sequence[str]) -> Json:
        """Return the choice of a whole answer, its index left out."""
        text = cut_at_stop(choice["text"], stops)
        is_cut = text != choice["text"]
        return {"text": text, "logprobs": None, "finish_reason": _reason(choice, is_cut=is_cut)}

    def piece(self, choice: Json) -> tuple[str, Json, Json | None]:
        """Return of one event's choice the text."""
        return choice["text"], {}, None

    def told(self, text: str, rest: Json, *, is_first: bool) -> Json:
        """Return a choice that tells a piece."""
        del rest, is_first
        return {"text": text}

    def ended(self) -> Json:
        """Return a choice that tells the end."""
        return {"text": ""}


Form = ChatForm | CompletionForm


class ChoiceReader:
    """Reads one sequence's events.

    Attributes:
        has_ended: Its reason has been told; what comes after it is passed over, but for the counts.
        is_cut: It ended by a stop string that the engine has not noticed.
    """

    def __init__(self, form: Form, stops: Sequence[str]) -> None:
        self._form = form
        self._scanner = StopScanner(stops)
        self._is_first = True
        self._has_calls = False
        self.tokens = 0
        self.usage: Json | None = None
        self.finish_reason: str | None = None
        self.has_ended = False
        self.is_cut = False

    def read(self, fields: Json) -> list[Json]:
        """Return the choices that an event tells, their indexes left out.

        Raises:
            AttributeError, KeyError, TypeError: The event has another form.
        """
        self.usage = fields.get("usage") or self.usage
        choices = fields["choices"]
        if not choices or self.has_ended:
            return []
        self.tokens += 1
        choice = choices[0]
        text, rest, logprobs = self._form.piece(choice)
        self._has_calls = self._has_calls or bool(rest)
        reason = choice.get("finish_reason") or None
        piece = self._scanner.feed(text)
        if reason is not None:
            piece += self._scanner.finish()
        told = self._told(piece, rest, logprobs)
        if reason is not None or self._scanner.has_stopped:
            self.has_ended, self.is_cut = True, reason is None
            self.finish_reason = _reason(choice, is_cut=self._scanner.has_stopped, calls=self._has_calls)
            told.append({**self._form.ended(), "logprobs": None, "finish_reason": self.finish_reason})
        return told

    def _told(self, text: str, rest: Json, logprobs: Json | None) -> list[Json]:
        if not (text or rest or logprobs or self._is_first):
            return []
        choice = self._form.told(text, rest, is_first=self._is_first)
        self._is_first = False
        return [{**choice, "logprobs": logprobs, "finish_reason": None}]


def _reason(choice: Json, *, is_cut: bool, calls: object = None) -> str:
    if is_cut:
        return _STOP
    reason: str = choice["finish_reason"]
    plain: str = _REASONS.get(reason, reason)
    return _TOOL_CALLS if calls and plain == _STOP else plain


def _tool_calls(calls: Any) -> list[Json]:
    """Return tool calls as OpenAI has them; TGI has given one for many, and objects for texts."""
    if not calls:
        return []
    many = calls if isinstance(calls, list) else [calls]
    return [{**call, "function": _function(call["function"])} for call in many]


def _function(function: Json) -> Json:
    arguments = function.get("arguments")
    text = arguments if isinstance(arguments, str) or arguments is None else to_json(arguments).decode()
    known = {"name": function.get("name"), "arguments": text}
    return {name: value for name, value in known.items() if value is not None}


def _logprobs(logprobs: Json | None) -> Json | None:
    """Name the bytes of each token, which OpenAI's have."""
    if not logprobs:
        return None
    return {"content": [_token(token) for token in logprobs["content"]], "refusal": None}


def _token(token: Json) -> Json:
    top = [{**one, "bytes": list(one["token"].encode())} for one in token.get("top_logprobs") or ()]
    return {**token, "bytes": list(token["token"].encode()), "top_logprobs": top}


def _within(tokens: list[Json], length: int) -> list[Json]:
    """Return the tokens that begin within so much text."""
    kept: list[Json] = []
    for token in tokens:
        if length <= 0:
            break
        kept.append(token)
        length -= len(token["token"])
    return kept
