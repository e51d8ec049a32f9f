"""The exported file in llama.cpp: the only place here that knows xllamacpp."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import xllamacpp

CONTEXT = 1024
SLOTS = 8
TIMEOUT_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Completion:
    """What llama.cpp generated.

    Attributes:
        tokens: Ids, the end token included where there is one.
        ended: True when the model ended by itself, False at the limit.
    """

    text: str
    tokens: list[int]
    ended: bool


class LlamaCpp:
    """A llama.cpp server on a free loopback port, with 8 slots; a context manager."""

    def __init__(self, model: Path, threads: int) -> None:
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(model)
        parameters.hostnames = ["127.0.0.1"]
        parameters.port = 0
        parameters.n_parallel = SLOTS
        parameters.n_ctx = CONTEXT * SLOTS
        parameters.kv_unified = False
        parameters.ctx_shift = False
        parameters.cpuparams.n_threads = threads
        self.server = xllamacpp.Server(parameters)
        self.host = str(self.server.listening_address).removeprefix("http://")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self.server

    def post(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Post JSON and return the answer's JSON."""
        connection = HTTPConnection(self.host, timeout=TIMEOUT_S)
        try:
            connection.request("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})
            answer: dict[str, Any] = json.load(connection.getresponse())
        finally:
            connection.close()
        return answer

    def tokenize(self, text: str) -> list[int]:
        """Return llama.cpp's tokens of ordinary text."""
        tokens: list[int] = self.post("/tokenize", {"content": text, "add_special": False, "parse_special": False})[
            "tokens"
        ]
        return tokens

    def apply_template(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Return the prompt that llama.cpp makes of a conversation with the file's chat template."""
        prompt: str = self.post("/apply-template", {"messages": list(messages)})["prompt"]
        return prompt

    def complete(self, prompt: str | list[int], count: int, temperature: float, seed: int) -> Completion:
        """Continue the prompt; temperature 0 is greedy."""
        body = {
            "prompt": prompt,
            "n_predict": count,
            "temperature": temperature,
            "seed": seed,
            "return_tokens": True,
            "cache_prompt": False,
        }
        answer = self.post("/completion", body)
        return Completion(text=answer["content"], tokens=answer["tokens"], ended=answer["stop_type"] == "eos")
