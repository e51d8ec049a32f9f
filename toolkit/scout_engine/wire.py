"""TGI's answers as bytes: bodies, server-sent events, headers (router/src/lib.rs, router/src/server.rs)."""

import json
from collections.abc import Mapping, Sequence

from scout_engine.completed import Completed
from scout_engine.config import Limits, ServedModel
from scout_engine.errors import RequestError
from scout_engine.tokens import Token

COMPUTE_TYPE = "cpu"
KEEP_ALIVE = b":\n\n"
STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


def to_json(value: object) -> bytes:
    """Return compact JSON, Chinese and all as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


_quote = json.JSONEncoder(ensure_ascii=False).encode


def token_body(token: Token) -> dict[str, object]:
    """One token without its alternatives."""
    return {"id": token.id, "text": token.text, "logprob": token.logprob, "special": token.special}


def _sequence_body(sequence: Completed) -> dict[str, object]:
    body: dict[str, object] = {
        "finish_reason": sequence.finish_reason,
        "generated_tokens": sequence.generated_tokens,
        "seed": sequence.seed,
        "prefill": [],
        "tokens": [token_body(token) for token in sequence.tokens],
    }
    if any(token.top for token in sequence.tokens):
        body["top_tokens"] = [[token_body(one) for one in token.top] for token in sequence.tokens]
    return body


def generate_body(sequences: Sequence[Completed], *, prompt: str, details: bool) -> dict[str, object]:
    """Return a GenerateResponse: the first sequence, the others of best_of in its details.

    Args:
        sequences: At least one.
        prompt: Put before each text; empty unless return_full_text was asked for.
        details: Whether to list the tokens.
    """
    first, *others = sequences
    body: dict[str, object] = {"generated_text": prompt + first.text}
    if details:
        described = _sequence_body(first)
        if others:
            described["best_of_sequences"] = [
                {"generated_text": prompt + other.text, **_sequence_body(other)} for other in others
            ]
        body["details"] = described
    return body


def stream_event(index: int, token: Token) -> bytes:
    """Return the event of a token that is not the last: the hot path, so put together by hand."""
    logprob = "null" if token.logprob is None else repr(token.logprob)
    special = "true" if token.special else "false"
    top = f'"top_tokens":{_quote([token_body(one) for one in token.top])},' if token.top else ""
    return (
        f'data: {{"index":{index},"token":{{"id":{token.id},"text":{_quote(token.text)},"logprob":{logprob},'
        f'"special":{special}}},{top}"generated_text":null,"details":null}}\n\n'
    ).encode()


def last_stream_event(index: int, token: Token, completed: Completed, *, prompt: str, details: bool) -> bytes:
    """Return the event that ends a stream."""
    body: dict[str, object] = {"index": index, "token": token_body(token)}
    if token.top:
        body["top_tokens"] = [token_body(one) for one in token.top]
    body["generated_text"] = prompt + completed.text
    body["details"] = _stream_details(completed) if details else None
    return event(body)


def _stream_details(completed: Completed) -> dict[str, object]:
    return {
        "finish_reason": completed.finish_reason,
        "generated_tokens": completed.generated_tokens,
        "seed": completed.seed,
        "input_length": completed.input_length,
    }


def event(value: object) -> bytes:
    """Return one server-sent event."""
    return b"data: " + to_json(value) + b"\n\n"


def error_body(error: RequestError) -> dict[str, object]:
    """Return TGI's body for a failed request."""
    return {"error": str(error), "error_type": error.error_type}


def openai_error_event(error: RequestError) -> bytes:
    """Return the event that ends a failed /v1 stream; TGI says 422 whatever the cause."""
    return event({"error": {"message": str(error), "http_status_code": 422}})


def stream_headers(inputs: str) -> Mapping[str, str]:
    """Return the headers of a stream, known before its first token."""
    return {
        **STREAM_HEADERS,
        "x-compute-type": COMPUTE_TYPE,
        "x-compute-characters": str(len(inputs)),
    }


def answer_headers(inputs: str, completed: Completed) -> Mapping[str, str]:
    """Return the headers of an unstreamed answer; times in whole milliseconds but x-compute-time, in seconds."""
    timings, tokens = completed.timings, completed.generated_tokens
    return {
        "x-compute-type": COMPUTE_TYPE,
        "x-compute-time": f"{timings.total_s:.9f}",
        "x-compute-characters": str(len(inputs)),
        "x-total-time": _milliseconds(timings.total_s),
        "x-validation-time": _milliseconds(timings.validation_s),
        "x-queue-time": _milliseconds(timings.queue_s),
        "x-inference-time": _milliseconds(timings.inference_s),
        "x-time-per-token": _milliseconds(timings.inference_s / max(tokens, 1)),
        "x-prompt-tokens": str(completed.input_length),
        "x-generated-tokens": str(tokens),
    }


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))


def info_body(model: ServedModel, limits: Limits) -> dict[str, object]:
    """Return the body of /info."""
    return {
        "model_id": model.model_id,
        "model_sha": None,
        "model_pipeline_tag": "text-generation",
        "max_concurrent_requests": limits.max_concurrent_requests,
        "max_best_of": limits.max_best_of,
        "max_stop_sequences": limits.max_stop_sequences,
        "max_input_tokens": limits.max_input_tokens,
        "max_total_tokens": limits.max_total_tokens,
        "validation_workers": 1,
        "max_client_batch_size": limits.max_client_batch_size,
        "router": "scout-engine",
        "version": model.version,
        "sha": None,
        "docker_label": None,
    }


def tokenized_body(tokens: Sequence[int], offsets: Sequence[tuple[int, int]], text: str) -> list[dict[str, object]]:
    """Return the body of /tokenize; offsets count bytes, as TGI's do."""
    raw = text.encode()
    return [
        {"id": token, "text": raw[start:stop].decode("utf-8", "replace"), "start": start, "stop": stop}
        for token, (start, stop) in zip(tokens, offsets, strict=True)
    ]
