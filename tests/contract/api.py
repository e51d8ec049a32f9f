"""What the contract tests need of an API at some address: requests, bare connections, and what it says of itself."""

import hashlib
import json
import socket
import ssl
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import requests

# Large models on slow machines answer the same tests.
TIMEOUT_S = 300
PROMPT = "Write two sentences about a garden in autumn."
CHINESE_PROMPT = "用 Python 编写一个计算斐波那契数列的函数"
# Short, so that the tests do not measure the engine.
SHORT = 24


@dataclass(frozen=True)
class RawAnswer:
    """An answer as it came over a bare connection."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Api:
    """The API at a base URL, without a slash at its end."""

    url: str

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(self.url + path, timeout=TIMEOUT_S, **options)

    def post(self, body: bytes, **options: Any) -> requests.Response:
        """POST these very bytes to /generate."""
        headers = {"Content-Type": "application/json", **options.pop("headers", {})}
        return requests.post(self.url + "/generate", data=body, headers=headers, timeout=TIMEOUT_S, **options)

    def generate(self, **fields: Any) -> requests.Response:
        """POST /generate; a prompt and a small `max_length` are filled in where none are given."""
        return requests.post(
            self.url + "/generate",
            json={"prompt": PROMPT, "max_length": SHORT, **fields},
            # A response cache may answer a repeated request with the text of the first.
            headers={"Cache-Control": "no-cache"},
            timeout=TIMEOUT_S,
        )

    def texts(self, **fields: Any) -> list[str]:
        """Generate, and return the texts of an answer that has to be a 200."""
        answer = self.generate(**fields)
        assert answer.status_code == 200, answer.text
        texts: list[str] = answer.json()["generated_texts"]
        return texts

    def connect(self) -> socket.socket:
        """Open a bare connection."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        is_tls = parts.scheme == "https"
        connection = socket.create_connection((parts.hostname, parts.port or (443 if is_tls else 80)), timeout=30)
        if is_tls:
            return ssl.create_default_context().wrap_socket(connection, server_hostname=parts.hostname)
        return connection

    def status(self) -> Any:
        return self.get("/status").json()

    @property
    def max_input_tokens(self) -> int:
        """The longest prompt that every engine behind this API takes."""
        return min(int(upstream["capacity"]["max_input_tokens"]) for upstream in self.status()["upstreams"])


def read_answer(connection: socket.socket) -> RawAnswer:
    """Read one answer from a bare connection."""
    response = HTTPResponse(connection)
    response.begin()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return RawAnswer(response.status, headers, response.read())


def hard_to_tokenize(characters: int) -> str:
    """Return an even number of hexadecimal digits without a pattern, of which no tokenizer takes many at a time."""
    return hashlib.shake_256(b"contract").hexdigest(characters // 2)


def assert_invalid(answer: requests.Response, *, field: str | None = None) -> list[dict[str, Any]]:
    """Check that the answer is a 422 in FastAPI's shape, at this field, and return its items."""
    assert answer.status_code == 422, (answer.status_code, answer.text[:300])
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json()
    assert body.keys() == {"detail"}
    assert body["detail"]
    for item in body["detail"]:
        assert {"type", "loc", "msg"} <= item.keys() <= {"type", "loc", "msg", "input"}
        assert item["loc"][0] == "body"
    if field is not None:
        assert [item["loc"] for item in body["detail"]] == [["body", field]]
    items: list[dict[str, Any]] = body["detail"]
    return items
