"""The document's example programs against a server that records what they send."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from scout_deploy.api_examples import chat_with_llama4, generate_text_from_llama4, main


@dataclass
class Recorder:
    url: str
    status: int = 200
    bodies: list[dict[str, Any]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)


@pytest.fixture
def api() -> Iterator[Recorder]:
    recorder = Recorder("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            recorder.authorizations.append(self.headers["Authorization"])
            recorder.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            count = recorder.bodies[-1].get("num_return_sequences", 1)
            answer = {"generated_texts": [f"text {number}" for number in range(count)], "parameters": {}}
            encoded = json.dumps(answer if recorder.status == 200 else {"detail": "no"}).encode()
            self.send_response(recorder.status)
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        recorder.url = f"http://127.0.0.1:{server.server_port}"
        yield recorder
        server.shutdown()
        thread.join()


def test_the_command_sends_the_documents_flags(api: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [
        "--max-length",
        "256",
        "--temperature",
        "0.8",
        "--top-p",
        "0.95",
        "--num-sequences",
        "2",
        "--prompt",
        "Hallo",
    ]

    status = main([*flags, "--url", api.url])

    assert status == 0
    assert api.bodies == [
        {"prompt": "Hallo", "max_length": 256, "temperature": 0.8, "top_p": 0.95, "num_return_sequences": 2}
    ]
    assert capsys.readouterr().out == "--- 1 of 2 ---\ntext 0\n--- 2 of 2 ---\ntext 1\n"


def test_the_command_has_the_documents_defaults(api: Recorder) -> None:
    main(["--url", api.url + "/"])

    assert api.bodies[0] == {
        "prompt": "用 Python 编写一个计算斐波那契数列的函数",
        "max_length": 512,
        "temperature": 0.7,
        "top_p": 0.9,
        "num_return_sequences": 1,
    }


def test_the_chat_function_sends_chatml(api: Recorder) -> None:
    text = chat_with_llama4([{"role": "system", "content": "a"}, {"role": "user", "content": "b"}], url=api.url)

    assert text == "text 0"
    prompt = "<|im_start|>system\na<|im_end|>\n<|im_start|>user\nb<|im_end|>\n<|im_start|>assistant\n"
    assert api.bodies == [{"prompt": prompt, "max_length": 1024, "temperature": 0.7}]


def test_an_error_of_the_api_is_raised_with_its_body(api: Recorder) -> None:
    api.status = 503

    with pytest.raises(RuntimeError, match=r'answered with 503: \{"detail": "no"\}'):
        generate_text_from_llama4("Hallo", url=api.url)


def test_the_command_says_what_to_do_when_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["--url", "http://127.0.0.1:9"])

    assert status == 1
    assert "next: see what http://127.0.0.1:9 says" in capsys.readouterr().err


def test_a_key_of_the_environment_is_sent_and_none_without_one(api: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCOUT_API_KEY", raising=False)
    generate_text_from_llama4("hello", url=api.url)
    monkeypatch.setenv("SCOUT_API_KEY", "a-key-0000000001")
    generate_text_from_llama4("hello", url=api.url)

    assert api.authorizations == [None, "Bearer a-key-0000000001"]
