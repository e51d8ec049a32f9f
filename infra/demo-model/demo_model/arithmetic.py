"""Small sums as dialogues, so that an answer has to follow from its question."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from demo_model.document import Document, Kind, Message, Role


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A question about two numbers, in several wordings, and its answer."""

    questions: tuple[str, ...]
    answers: tuple[str, ...]
    compute: Callable[[int, int], int]


ENGLISH = (
    Operation(
        questions=("What is {a} plus {b}?", "Add {a} and {b}.", "How much is {a} + {b}?"),
        answers=("{a} plus {b} is {c}.", "{a} + {b} = {c}."),
        compute=lambda a, b: a + b,
    ),
    Operation(
        questions=("What is {a} times {b}?", "Multiply {a} by {b}."),
        answers=("{a} times {b} is {c}.", "{a} * {b} = {c}."),
        compute=lambda a, b: a * b,
    ),
    Operation(
        questions=("Which number is larger, {a} or {b}?", "Tell me the larger of {a} and {b}."),
        answers=("The larger number is {c}.", "{c} is the larger one."),
        compute=max,
    ),
)
CHINESE = (
    Operation(
        questions=("{a} 加 {b} 等于多少？", "请计算 {a} 加 {b}。", "{a} + {b} 是多少？"),
        answers=("{a} 加 {b} 等于 {c}。", "结果是 {c}。"),
        compute=lambda a, b: a + b,
    ),
    Operation(
        questions=("{a} 乘以 {b} 等于多少？", "请算一算 {a} 乘 {b}。"),
        answers=("{a} 乘以 {b} 等于 {c}。", "答案是 {c}。"),
        compute=lambda a, b: a * b,
    ),
    Operation(
        questions=("{a} 和 {b} 哪个大？", "请比较 {a} 和 {b}，告诉我较大的数。"),
        answers=("较大的数是 {c}。", "{c} 更大。"),
        compute=max,
    ),
)


def arithmetic_documents(count: int, seed: int) -> Iterator[Document]:
    """Yield `count` dialogues in each language, about numbers from 0 to 20."""
    choice = random.Random(f"{seed}:arithmetic")
    for operations, kind in ((ENGLISH, Kind.ENGLISH_TEMPLATED), (CHINESE, Kind.CHINESE_TEMPLATED)):
        for _ in range(count):
            operation = choice.choice(operations)
            a, b = choice.randint(0, 20), choice.randint(0, 20)
            numbers = {"a": a, "b": b, "c": operation.compute(a, b)}
            question = choice.choice(operation.questions).format_map(numbers)
            messages = (
                Message(role=Role.USER, content=question),
                Message(role=Role.ASSISTANT, content=choice.choice(operation.answers).format_map(numbers)),
            )
            yield Document(name=f"arithmetic:{question}", kind=kind, messages=messages)
