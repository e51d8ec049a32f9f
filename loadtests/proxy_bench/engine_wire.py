"""The fake engine's answers: TGI's wire form, OpenAI's, and the documented one that a plain proxy passes on."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

# Nothing else in an answer or in an event is spelt like it, so that tokens can be counted by it.
WORD = " lorem"
_MODEL = "fake/model"
_CONTEXT = 131_072
_DEFAULTS: Mapping[str, Any] = {
    "prompt": "",
    "max_length": 512,
    "temperature": 0.7,
    "top_p": 0.9,
    "top_k": 50,
    "num_return_sequences": 1,
}
INFO = {
    "model_id": _MODEL,
    "max_input_tokens": _CONTEXT - 1,
    "max_total_tokens": _CONTEXT,
    "max_stop_sequences": 4,
    # No row is about what a proxy does when the engine is full.
    "max_concurrent_requests": 16_384,
    "version": "3.3.6-dev0",
}
STREAM_END = b"0\r\n\r\n"
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"content-type: text/event-stream\r\n"
    b"cache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


def response(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    """An HTTP answer with a JSON body."""
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


@cache
def tgi_answer(tokens: int, *, has_details: bool, is_list: bool) -> bytes:
    """The answer of `POST /generate`; of `POST /`, which `text_generation` uses, as a list."""
    answer: dict[str, Any] = {"generated_text": WORD * tokens}
    if has_details:
        answer["details"] = _details(tokens) | {"prefill": [], "tokens": [_token() for _ in range(tokens)]}
    headers = f"x-prompt-tokens: 20\r\nx-generated-tokens: {tokens}\r\n"
    return response(_json([answer] if is_list else answer), headers=headers)


@cache
def stream_events(tokens: int) -> tuple[bytes, ...]:
    """One chunk for each token of `POST /generate_stream`; the last one ends the answer."""
    events: list[dict[str, Any]] = [
        {"index": index + 1, "token": _token(), "generated_text": None, "details": None} for index in range(tokens)
    ]
    events[-1] |= {"generated_text": WORD * tokens, "details": _details(tokens) | {"input_length": 20}}
    chunks = [_chunk(b"data:" + _json(event) + b"\n\n") for event in events]
    return (*chunks[:-1], chunks[-1] + STREAM_END)


@cache
def openai_answer(tokens: int) -> bytes:
    """The answer of `POST /v1/chat/completions`."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": WORD * tokens},
        "logprobs": None,
        "finish_reason": "length",
    }
    usage = {"prompt_tokens": 20, "completion_tokens": tokens, "total_tokens": 20 + tokens}
    answer = {
        "object": "chat.completion",
        "id": "bench",
        "created": 1_700_000_000,
        "model": _MODEL,
        "system_fingerprint": "3.3.6-dev0-native",
        "choices": [choice],
        "usage": usage,
    }
    return response(_json(answer))


@cache
def chat_stream_events(tokens: int) -> tuple[bytes, ...]:
    """One chunk for each token of a streamed chat completion; the last one ends the answer."""
    common = {"object": "chat.completion.chunk", "id": "", "created": 1_700_000_000, "model": _MODEL}
    events = [
        {
            **common,
            "system_fingerprint": "3.3.6-dev0-native",
            "choices": [
                {
                    "index": 0,
                    "delta": {"role": "assistant", "content": WORD},
                    "logprobs": None,
                    "finish_reason": "length" if index == tokens - 1 else None,
                }
            ],
            "usage": None,
        }
        for index in range(tokens)
    ]
    chunks = [_chunk(b"data: " + _json(event) + b"\n\n") for event in events]
    return (*chunks[:-1], chunks[-1] + _chunk(b"data: [DONE]\n\n") + STREAM_END)


def documented_answer(request: Mapping[str, Any], tokens: int) -> bytes:
    """The answer of the documented `POST /generate`, for proxies that pass it on as it is."""
    parameters = {name: request.get(name, default) for name, default in _DEFAULTS.items()}
    return response(_json({"generated_texts": [WORD * tokens], "parameters": parameters}))


def tokenized(text: str) -> bytes:
    """The answer of `POST /tokenize`: a token for each word."""
    return response(_json([{"id": 1, "text": word, "start": 0, "stop": 0} for word in text.split()]))


def _details(tokens: int) -> dict[str, Any]:
    return {"finish_reason": "length", "generated_tokens": tokens, "seed": None}


def _token() -> dict[str, Any]:
    return {"id": 1, "text": WORD, "logprob": -0.5, "special": False}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _chunk(payload: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(payload), payload)
