"""Requests to the proxy's OpenAI routes over bare HTTP, and what their answers hold."""

import json
from typing import Any

import requests

from fakes.running_proxy import RunningProxy

MODEL = "meta-llama/Llama-4-Scout-17B-16E-Instruct"
CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
MESSAGES = [{"role": "user", "content": "hi"}]
BODIES: dict[str, dict[str, Any]] = {CHAT: {"messages": MESSAGES}, COMPLETIONS: {"prompt": "hi"}}


def ask(proxy: RunningProxy, path: str = CHAT, **fields: Any) -> requests.Response:
    return proxy.post(path, json={"model": MODEL, **BODIES[path], **fields})


def chunks_of(answer: requests.Response) -> list[Any]:
    """Return the chunks of a stream that ended well."""
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8", answer.text
    return chunks_in(answer.text)


def chunks_in(text: str) -> list[Any]:
    """Return the chunks in the text of such a stream."""
    *events, done, rest = text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in events]


def error_of(answer: requests.Response) -> Any:
    assert answer.json().keys() == {"error"}
    assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
    return answer.json()["error"]


def text_of(choice: dict[str, Any]) -> str:
    text: str = choice["delta"].get("content", "") if "delta" in choice else choice["text"]
    return text
