"""What the model is trained on: documents made of messages, each learnt or only read."""

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256


class Kind(StrEnum):
    """What a document is made of; cross-entropies are reported for each kind on its own."""

    ENGLISH_PROSE = "english-prose"
    PYTHON_CODE = "python-code"
    CHINESE_PROSE = "chinese-prose"
    ENGLISH_DIALOGUE = "english-dialogue"
    CHINESE_DIALOGUE = "chinese-dialogue"
    ENGLISH_TEMPLATED = "english-templated"
    CHINESE_TEMPLATED = "chinese-templated"


class Role(StrEnum):
    """Who speaks; `TEXT` is a document without any turn."""

    TEXT = "text"
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


LEARNT_ROLES = frozenset({Role.TEXT, Role.ASSISTANT})
"""The loss counts only these: a model that learns the users' turns as well answers a question with a question."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """One turn, or the whole text of a document without turns."""

    role: Role
    content: str


@dataclass(frozen=True, kw_only=True)
class Document:
    """A unit of text that is either trained on or held out, never both.

    Attributes:
        name: Unique; decides on which side of the split the document falls.
    """

    name: str
    kind: Kind
    messages: tuple[Message, ...]

    @property
    def text(self) -> str:
        """All of its text, one message after the other."""
        return "\n".join(message.content for message in self.messages)


def plain(name: str, kind: Kind, text: str) -> Document:
    """Return a document without turns."""
    return Document(name=name, kind=kind, messages=(Message(role=Role.TEXT, content=text),))


def is_held_out(document: Document, percent: int) -> bool:
    """Say whether the document is for evaluation only; depends on its name alone, so every build agrees."""
    return int.from_bytes(sha256(document.name.encode()).digest()[:4]) % 100 < percent
