"""Every way to ask the proxy for text, and the form of each one's answers and errors."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from fakes.openai_requests import CHAT, COMPLETIONS, MESSAGES, MODEL

GENERATE, NATIVE, NATIVE_STREAM = "/generate", "/", "/generate_stream"


@dataclass(frozen=True, kw_only=True)
class Way:
    """One of them, with a request for it."""

    path: str
    body: Mapping[str, Any]

    def __str__(self) -> str:
        return self.path + (" streamed" if self.is_streamed else "")

    @property
    def is_streamed(self) -> bool:
        return bool(self.body.get("stream")) or self.path == NATIVE_STREAM

    @property
    def is_native(self) -> bool:
        return self.path in {NATIVE, NATIVE_STREAM}

    @property
    def content(self) -> bytes:
        return json.dumps(self.body).encode()

    @property
    def request(self) -> bytes:
        """As bytes on a connection."""
        return self.with_body(self.content)

    def with_body(self, body: bytes, *headers: str) -> bytes:
        """Return the request with another body."""
        head = [f"POST {self.path} HTTP/1.1", "Host: x", *headers, f"Content-Length: {len(body)}", "", ""]
        return "\r\n".join(head).encode() + body

    def ask(self, url: str, timeout_s: float) -> requests.Response:
        return requests.post(url + self.path, data=self.content, timeout=timeout_s)

    def status(self, documented: int) -> int:
        """Return the status that its family has for a documented one."""
        if self.path.startswith("/v1/") and documented == 422:
            return 400
        return 424 if self.is_native and documented == 500 else documented

    def message(self, body: bytes) -> str:
        """Return an error's message; its form is exactly that of the family."""
        error = json.loads(body)
        if self.path.startswith("/v1/"):
            assert error.keys() == {"error"}
            assert error["error"].keys() == {"message", "type", "param", "code"}
            return str(error["error"]["message"])
        if self.path == GENERATE:
            assert error.keys() == {"detail"}
            detail = error["detail"]
            return detail if isinstance(detail, str) else str(detail[0]["msg"])
        assert error.keys() == {"error", "error_type"}
        return str(error["error"])

    def last_words(self, stream: bytes) -> str:
        """Return the message of the error that ends a stream which has begun."""
        *_, last, rest = stream.split(b"\n\n")
        assert rest == b""
        name, _, data = last.rpartition(b"data: ")
        assert name == (b"event: error\n" if self.path == GENERATE else b"")
        return self.message(data)


def unchunked(answer: bytes) -> bytes:
    """Return the body of a whole answer that came in chunks."""
    rest = answer.partition(b"\r\n\r\n")[2]
    body = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
        if size == b"0":
            assert rest == b""
            return body


WAYS = (
    Way(path=GENERATE, body={"prompt": "p"}),
    # Another prompt, so that the two never share a generation.
    Way(path=GENERATE, body={"prompt": "q", "stream": True}),
    Way(path=NATIVE, body={"inputs": "p"}),
    Way(path=NATIVE, body={"inputs": "p", "stream": True}),
    Way(path=NATIVE_STREAM, body={"inputs": "p"}),
    Way(path=CHAT, body={"model": MODEL, "messages": MESSAGES}),
    Way(path=CHAT, body={"model": MODEL, "messages": MESSAGES, "stream": True}),
    Way(path=COMPLETIONS, body={"model": MODEL, "prompt": "p"}),
    Way(path=COMPLETIONS, body={"model": MODEL, "prompt": "p", "stream": True}),
)
WHOLE = tuple(way for way in WAYS if not way.is_streamed)
STREAMED = tuple(way for way in WAYS if way.is_streamed)
