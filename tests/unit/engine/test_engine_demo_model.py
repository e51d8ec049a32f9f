"""The shipped demonstration model: small, ends its answers, writes whole characters in both languages."""

import pytest
import requests

from scout_engine.arguments import DEMO_MODEL

LARGEST_SHIPPED_BYTES = 8_000_000


def answer(http: requests.Session, url: str, question: str) -> tuple[str, str]:
    """Ask greedily; return the answer and why it ended."""
    body = {"messages": [{"role": "user", "content": question}], "max_tokens": 200, "temperature": 0}
    reply = http.post(f"{url}/v1/chat/completions", json=body, timeout=120)
    assert reply.status_code == 200, reply.text
    (choice,) = reply.json()["choices"]
    return choice["message"]["content"], choice["finish_reason"]


def test_the_file_is_small_enough_to_ship() -> None:
    assert DEMO_MODEL.stat().st_size <= LARGEST_SHIPPED_BYTES


@pytest.mark.parametrize("question", ["Which colours has the sky?", "天空有哪些颜色？"])
def test_a_chat_answer_is_text_without_markup_and_ends_by_itself(
    http: requests.Session, url: str, question: str
) -> None:
    text, reason = answer(http, url, question)

    assert text.strip()
    assert "<|" not in text
    assert reason == "stop"


@pytest.mark.parametrize("prompt", ["The old house", "湖边的小路", "傍晚，老人"])
def test_a_raw_prompt_is_continued_in_whole_characters(http: requests.Session, url: str, prompt: str) -> None:
    body = {"inputs": prompt, "parameters": {"max_new_tokens": 60}}

    text = http.post(f"{url}/generate", json=body, timeout=120).json()["generated_text"]

    assert text.strip()
    assert "\ufffd" not in text.rstrip("\ufffd")
