"""What the finished model is shown; the conversations' questions are in held-out-prompts.txt, so never in its text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from demo_model.document import Message, Role


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """A conversation that waits for an answer."""

    messages: tuple[Message, ...]

    @property
    def plain(self) -> list[Mapping[str, str]]:
        """The messages as the chat template takes them."""
        return [{"role": str(message.role), "content": message.content} for message in self.messages]


def asked(question: str, system: str = "") -> Conversation:
    """Return one question, behind a system message where one is given."""
    user = Message(role=Role.USER, content=question)
    return Conversation(messages=(Message(role=Role.SYSTEM, content=system), user) if system else (user,))


CONVERSATIONS: Final = (
    asked("Who is answering me here?"),
    asked("Please write Python code that checks if two words have the same letters."),
    asked("A story about a lonely owl, please."),
    asked("What is the Python language good for?", system="You are a helpful assistant."),
    asked("请问现在是谁在回答我？"),
    asked("用 Python 编写一个计算斐波那契数列的函数"),
    asked("写一个递归函数来计算 Python 中的阶乘"),
    asked("编写一个 Python 函数以升序对数字列表进行排序。"),
    asked("Python的主要特点是什么？", system="你是一个有帮助的AI助手。"),
    asked("说一说秋天的树林。"),
)

RAW_PROMPTS: Final = (
    "The return value of this method",
    "def read_settings(path):\n",
    "In the evening the old man",
    "傍晚的时候，老人",
    "今天的天气",
)
