"""Whether what an engine answers on a native route is an answer: it goes on as it is, and garbage must not. Pure."""

from typing import Any

from pydantic_core import from_json

from scout_proxy.errors import GenerationFailedError


def check_texts(body: bytes) -> None:
    """Raise `GenerationFailedError` for what is neither a generated text nor a list of some."""
    try:
        answer = from_json(body)
    except ValueError as exc:
        raise GenerationFailedError(f"the engine's answer is not JSON: {exc}") from exc
    texts = answer if isinstance(answer, list) else [answer]
    if not texts or not all(map(_has_text, texts)):
        raise GenerationFailedError("the engine's answer has no generated_text")


def check_list(body: bytes) -> None:
    """Raise `GenerationFailedError` for what is surely no list; one of tokens is too long to be read for that alone."""
    if not (body.startswith(b"[") and body.rstrip().endswith(b"]")):
        raise GenerationFailedError("the engine's answer is not a list of tokens")


def _has_text(answer: Any) -> bool:
    return isinstance(answer, dict) and isinstance(answer.get("generated_text"), str)
