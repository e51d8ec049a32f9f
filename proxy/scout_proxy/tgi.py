"""An upstream that speaks TGI's protocol, as the engine that the proxy asks. Alone translates its errors."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from text_generation import errors as library

from scout_proxy.engine import EngineFacts, Generated, GenerationParameters
from scout_proxy.errors import (
    AnswerCutOffError,
    DeadlineError,
    GenerationFailedError,
    InvalidRequestError,
    NotLoadedError,
    OverloadedError,
    UpstreamLostError,
)
from scout_proxy.upstream import TruncatedAnswerError, UnreachableError, UpstreamClient, open_session

_ENGINE_FAILURES = (
    library.BadRequestError,
    library.GenerationError,
    library.IncompleteGenerationError,
    library.NotFoundError,
    library.UnknownError,
)


class TgiEngines:
    """Opens engines on one pooled session. Needs a running event loop."""

    def __init__(self) -> None:
        self._session = open_session()

    def open(self, url: str) -> "TgiEngine":
        """Return the engine at a base URL."""
        return TgiEngine(UpstreamClient(url, self._session))

    async def close(self) -> None:
        """Close the session and every connection."""
        await self._session.close()


class TgiEngine:
    """An `Engine` over `UpstreamClient`."""

    def __init__(self, client: UpstreamClient) -> None:
        self._client = client

    async def probe(self) -> EngineFacts:
        """Ask `/info`, then `/health`."""
        with _translated():
            info = (await self._client.get_info()).body
            await self._client.check_health()
        return _facts(info)

    async def count_tokens(self, text: str) -> int:
        """Ask `/tokenize`, which adds the begin-of-text token as `/generate` does."""
        with _translated():
            return await self._client.count_tokens(text)

    async def generate(self, text: str, parameters: GenerationParameters) -> Generated:
        """Ask `/generate` without details: the counts come in headers, at no cost."""
        wire = {name: value for name, value in asdict(parameters).items() if value is not None}
        with _translated():
            answer = await self._client.post_generate(text, {**wire, "return_full_text": False, "details": False})
        generated = answer.body.get("generated_text") if isinstance(answer.body, dict) else None
        if not isinstance(generated, str):
            raise GenerationFailedError("the engine's answer has no generated_text")
        return Generated(
            text=generated,
            prompt_tokens=_count(answer.headers, "x-prompt-tokens"),
            generated_tokens=_count(answer.headers, "x-generated-tokens"),
        )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except UnreachableError as exc:
        raise UpstreamLostError(str(exc)) from exc
    except TruncatedAnswerError as exc:
        raise AnswerCutOffError(str(exc)) from exc
    except library.ShardNotReadyError as exc:
        raise NotLoadedError(log_reason=str(exc)) from exc
    except library.ShardTimeoutError as exc:
        raise DeadlineError from exc
    except (library.OverloadedError, library.RateLimitExceededError) as exc:
        raise OverloadedError from exc
    except library.ValidationError as exc:
        raise InvalidRequestError.of("engine_validation", str(exc)) from exc
    except _ENGINE_FAILURES as exc:
        raise GenerationFailedError(str(exc)) from exc


def _facts(info: Any) -> EngineFacts:
    """Read `/info`. Older images name the input limit `max_input_length`."""
    if not isinstance(info, dict):
        raise GenerationFailedError("the engine's /info is not an object")
    max_total = info.get("max_total_tokens")
    max_input = info.get("max_input_tokens", info.get("max_input_length"))
    if not isinstance(max_total, int) or not isinstance(max_input, int):
        raise GenerationFailedError("the engine's /info states no max_input_tokens or max_total_tokens")
    stops, model_id, version = info.get("max_stop_sequences"), info.get("model_id"), info.get("version")
    return EngineFacts(
        max_input_tokens=max_input,
        max_total_tokens=max_total,
        max_stop_sequences=stops if isinstance(stops, int) else None,
        model_id=model_id if isinstance(model_id, str) else None,
        version=version if isinstance(version, str) else None,
    )


def _count(headers: Mapping[str, str], name: str) -> int | None:
    value = headers.get(name, "")
    return int(value) if value.isascii() and value.isdigit() else None
