"""The /v1 routes' answers, as TGI writes them (router/src/lib.rs, router/src/chat.rs)."""

from collections.abc import Callable, Mapping, Sequence
from time import time

from scout_engine.completed import Completed
from scout_engine.config import ServedModel
from scout_engine.tokens import FinishReason, Token
from scout_engine.wire import COMPUTE_TYPE, STREAM_HEADERS, event


class OpenAiWire:
    """Bodies and events that name one model."""

    def __init__(self, model: ServedModel, *, now: Callable[[], float] = time) -> None:
        self._model = model
        self._now = now

    def models(self) -> dict[str, object]:
        """Return the body of /v1/models."""
        name = self._model.model_id
        return {"object": "list", "data": [{"id": name, "object": "model", "created": 0, "owned_by": name}]}

    def chat(self, completed: Completed, *, logprobs: bool) -> dict[str, object]:
        """Return a whole chat answer."""
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": completed.text},
            "logprobs": _logprobs(completed.tokens) if logprobs else None,
            "finish_reason": _finish_reason(completed.finish_reason),
        }
        return {**self._head("chat.completion"), "choices": [choice], "usage": _usage([completed])}

    def chat_event(self, token: Token, completed: Completed | None, *, logprobs: bool) -> bytes:
        """Return the event of one token; a special token has no content."""
        choice = {
            "index": 0,
            "delta": {"role": "assistant", "content": "" if token.special else token.text},
            "logprobs": _logprobs([token]) if logprobs else None,
            "finish_reason": None if completed is None else _finish_reason(completed.finish_reason),
        }
        return event({**self._head("chat.completion.chunk"), "choices": [choice], "usage": None})

    def usage_event(self, completed: Completed) -> bytes:
        """Return the event that stream_options.include_usage asks for."""
        return event({**self._head("chat.completion.chunk"), "choices": [], "usage": _usage([completed])})

    def completion(self, sequences: Sequence[Completed]) -> dict[str, object]:
        """Return a whole completion, one choice for each prompt."""
        choices = [
            _completion_choice(index, one.text, _finish_reason(one.finish_reason))
            for index, one in enumerate(sequences)
        ]
        return {**self._head("text_completion"), "choices": choices, "usage": _usage(sequences)}

    def completion_event(self, index: int, token: Token, completed: Completed | None) -> bytes:
        """Return the event of one token of prompt `index`; the last carries the usage and TGI's finish reason."""
        text = "" if token.special else token.text
        choice = _completion_choice(index, text, "" if completed is None else completed.finish_reason)
        body = {**self._head("text_completion"), "choices": [choice]}
        return event(body if completed is None else {**body, "usage": _usage([completed])})

    def _head(self, kind: str) -> dict[str, object]:
        return {
            "object": kind,
            "id": "",
            "created": int(self._now()),
            "model": self._model.model_id,
            "system_fingerprint": f"{self._model.version}-native",
        }


DONE = b"data: [DONE]\n\n"


def completion_headers(prompts: Sequence[str], sequences: Sequence[Completed]) -> Mapping[str, str]:
    """Return the headers of a whole completion, summed over its prompts."""
    return {
        "x-compute-type": COMPUTE_TYPE,
        "x-compute-characters": str(sum(len(prompt) for prompt in prompts)),
        "x-total-time": str(int(1000 * sum(one.timings.total_s for one in sequences))),
        "x-inference-time": str(int(1000 * sum(one.timings.inference_s for one in sequences))),
        "x-prompt-tokens": str(sum(one.input_length for one in sequences)),
        "x-generated-tokens": str(sum(one.generated_tokens for one in sequences)),
    }


def completion_stream_headers(prompts: Sequence[str]) -> Mapping[str, str]:
    """Return the headers of a streamed completion."""
    return {
        **STREAM_HEADERS,
        "x-compute-type": COMPUTE_TYPE,
        "x-compute-characters": str(sum(len(prompt) for prompt in prompts)),
    }


def _completion_choice(index: int, text: str, finish_reason: str) -> dict[str, object]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish_reason}


def _finish_reason(reason: FinishReason) -> str:
    return "stop" if reason == "eos_token" else reason


def _usage(sequences: Sequence[Completed]) -> dict[str, int]:
    prompt = sum(one.input_length for one in sequences)
    generated = sum(one.generated_tokens for one in sequences)
    return {"prompt_tokens": prompt, "completion_tokens": generated, "total_tokens": prompt + generated}


def _logprobs(tokens: Sequence[Token]) -> dict[str, object]:
    return {
        "content": [
            {
                "token": token.text,
                "logprob": token.logprob,
                "top_logprobs": [{"token": one.text, "logprob": one.logprob} for one in token.top],
            }
            for token in tokens
        ]
    }
