"""The command line of `python -m scout_engine`."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Never

from scout_engine.config import EngineConfig
from scout_engine.errors import ArgumentError

DEMO_MODEL = Path(__file__).parent / "demo" / "scout-demo-q8_0.gguf"
_HIGHEST_PORT = 65535


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Never:
        raise ArgumentError(f"{message}; see python -m scout_engine --help")


def parse_arguments(arguments: Sequence[str]) -> EngineConfig:
    """Return the configuration that the command line asks for.

    Raises:
        ArgumentError: An option is unknown or its value out of range.
    """
    parsed = vars(_parser().parse_args(arguments))
    model: Path = parsed["model_path"]
    parsed["model_id"] = parsed["model_id"] or model.stem
    config = EngineConfig(**parsed)
    if config.context is not None and config.max_input_tokens is not None and config.max_input_tokens >= config.context:
        raise ArgumentError(
            f"--max-input-tokens {config.max_input_tokens} leaves no room to generate in --context {config.context}; "
            f"give at most {config.context - 1}"
        )
    return config


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m scout_engine",
        description="Serve a GGUF model with the HTTP protocol of Text Generation Inference.",
    )
    add = parser.add_argument
    add(
        "--model",
        dest="model_path",
        type=Path,
        default=DEMO_MODEL,
        metavar="PATH",
        help="GGUF file [the demonstration model]",
    )
    add("--model-id", metavar="NAME", help="name reported in /info and /v1/models [the file's name]")
    add("--host", default="127.0.0.1", help="address to listen on [%(default)s]")
    add("--port", type=_port, default=3000, help="port to listen on, 0 for any [%(default)s]")
    add("--slots", type=_AtLeast(1), default=8, metavar="N", help="generations batched together [%(default)s]")
    add("--context", type=_AtLeast(2), metavar="N", help="tokens of one request [the model's, at most 4096]")
    add("--threads", type=_AtLeast(1), metavar="N", help="threads to compute with [usable cores less one]")
    add("--max-concurrent-requests", type=_AtLeast(1), default=128, metavar="N", help="more are refused [%(default)s]")
    add("--max-input-tokens", type=_AtLeast(1), metavar="N", help="tokens of a prompt [the context less one]")
    add("--payload-limit", dest="payload_limit_bytes", type=_AtLeast(1), default=2_000_000, metavar="BYTES")
    add("--max-best-of", type=_AtLeast(1), default=2, metavar="N", help="sequences of best_of [%(default)s]")
    add("--max-stop-sequences", type=_AtLeast(0), default=4, metavar="N", help="stop strings [%(default)s]")
    add("--kv-cache-dtype", default="f16", metavar="TYPE", help="f16, q8_0 and llama.cpp's others [%(default)s]")
    add(
        "--drain",
        dest="drain_s",
        type=_AtLeast(0),
        default=20,
        metavar="SECONDS",
        help="grace after SIGTERM [%(default)s]",
    )
    add("--log-format", choices=("text", "json"), default="text", help="form of the log [%(default)s]")
    return parser


class _AtLeast:
    def __init__(self, least: int) -> None:
        self._least = least

    def __call__(self, text: str) -> int:
        value = _integer(text)
        if value < self._least:
            raise argparse.ArgumentTypeError(f"{value} is below {self._least}")
        return value


def _port(text: str) -> int:
    value = _integer(text)
    if not 0 <= value <= _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{value} is not between 0 and {_HIGHEST_PORT}")
    return value


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
