"""Reads ChatML, the markup `<|im_start|>role\\n...<|im_end|>` that the documented chat client sends. Pure."""

import re
from dataclasses import dataclass

_START = "<|im_start|>"
_END = "<|im_end|>"
_HEADER = re.compile(re.escape(_START) + r"(system|user|assistant)\r?\n")


@dataclass(frozen=True, kw_only=True)
class Message:
    """One turn of a conversation."""

    role: str
    content: str


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """Closed turns, and the beginning of the answer where the last assistant turn was left open with text in it."""

    messages: tuple[Message, ...]
    answer_start: str = ""


def parse_chatml(text: str) -> Conversation | None:
    """Parse a prompt that is ChatML from its first to its last character.

    Turns are closed by `<|im_end|>`, with a line break after it or not; white space around them is skipped. The
    last assistant turn may be left open: that asks for the answer. The markers are the client's markup wherever they
    stand, so a message cannot contain them.

    Returns:
        None where the text is not well-formed, or has no closed turn.
    """
    messages: list[Message] = []
    position = _skip_space(text, 0)
    while position < len(text):
        header = _HEADER.match(text, position)
        if header is None:
            return None
        role, end = header[1], text.find(_END, header.end())
        content = text[header.end() : end if end >= 0 else len(text)]
        if _START in content:
            return None
        if end < 0:
            is_answer = role == "assistant" and bool(messages)
            return Conversation(messages=tuple(messages), answer_start=content) if is_answer else None
        messages.append(Message(role=role, content=content))
        position = _skip_space(text, end + len(_END))
    return Conversation(messages=tuple(messages)) if messages else None


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position
