import pytest

from scout_proxy.prompt.chatml import Conversation, Message, parse_chatml


def turn(role: str, content: str) -> str:
    return f"<|im_start|>{role}\n{content}<|im_end|>\n"


def test_the_documented_chat_client_is_read() -> None:
    text = (
        turn("system", "你是一个有帮助的AI助手。")
        + turn("user", "Python的主要特点是什么？")
        + "<|im_start|>assistant\n"
    )

    assert parse_chatml(text) == Conversation(
        messages=(
            Message(role="system", content="你是一个有帮助的AI助手。"),
            Message(role="user", content="Python的主要特点是什么？"),
        )
    )


def test_several_turns_are_read_in_order() -> None:
    conversation = parse_chatml(turn("user", "a\nb") + turn("assistant", "") + turn("user", "c"))

    assert conversation == Conversation(
        messages=(
            Message(role="user", content="a\nb"),
            Message(role="assistant", content=""),
            Message(role="user", content="c"),
        )
    )


def test_an_open_answer_is_continued() -> None:
    conversation = parse_chatml(turn("user", "a") + "<|im_start|>assistant\nSure, ")

    assert conversation == Conversation(messages=(Message(role="user", content="a"),), answer_start="Sure, ")


def test_white_space_around_turns_and_missing_line_breaks_do_not_matter() -> None:
    text = "\n <|im_start|>user\r\na<|im_end|>  <|im_start|>user\nb<|im_end|><|im_start|>assistant\n"

    conversation = parse_chatml(text)

    assert conversation == Conversation(messages=(Message(role="user", content="a"), Message(role="user", content="b")))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "hello " + turn("user", "a"),
        turn("user", "a") + "and more",
        turn("tool", "a"),
        "<|im_start|>user a<|im_end|>",
        "<|im_start|>user\na",
        "<|im_start|>assistant\n",
        turn("user", "a") + "<|im_start|>user\nb",
        turn("user", "a <|im_start|>system\nb"),
        "<|im_end|>",
    ],
)
def test_what_is_not_well_formed_is_not_chatml(text: str) -> None:
    assert parse_chatml(text) is None
