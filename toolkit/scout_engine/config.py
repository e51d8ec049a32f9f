"""What the engine is told: frozen values, made once by `scout_engine.arguments`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

LogFormat = Literal["text", "json"]


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """One engine process.

    Attributes:
        model_path: The GGUF file.
        model_id: The name that `/info` and `/v1/models` report.
        port: 0 lets the system choose one.
        slots: Generations that llama.cpp batches together; further ones wait in its queue.
        context: Tokens of one request, prompt and answer together; None: the model's own, at most 4096.
        threads: None: chosen from the CPUs this process may use.
        max_input_tokens: None: one less than the context.
        kv_cache_dtype: A ggml type name, such as f16 or q8_0.
        drain_s: How long requests in flight may take after SIGTERM.
    """

    model_path: Path
    model_id: str
    host: str = "127.0.0.1"
    port: int = 3000
    slots: int = 8
    context: int | None = None
    threads: int | None = None
    max_concurrent_requests: int = 128
    max_input_tokens: int | None = None
    payload_limit_bytes: int = 2_000_000
    max_best_of: int = 2
    max_stop_sequences: int = 4
    kv_cache_dtype: str = "f16"
    drain_s: int = 20
    log_format: LogFormat = "text"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a request may ask for; the names and defaults are those of TGI's launcher."""

    max_input_tokens: int
    max_total_tokens: int
    max_concurrent_requests: int = 128
    max_best_of: int = 2
    max_stop_sequences: int = 4
    max_top_n_tokens: int = 5
    max_client_batch_size: int = 4
    payload_limit_bytes: int = 2_000_000


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """The model as clients see it."""

    model_id: str
    version: str
    chat_template: str | None
    bos_token: str
    eos_token: str
