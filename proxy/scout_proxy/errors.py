"""What can go wrong for a caller, as statuses and texts of the documented contract. Nothing here knows FastAPI.

ProxyError
  InvalidRequestError      422  the request, or what the engine says of it; a list in FastAPI's shape
    NoRoomError            422  the same, for what does not fit into the engine's context
  BodyTooLargeError        413
  BodyTimeoutError         408
  UnsupportedEncodingError 415  a compressed body
  OverloadedError          429  Retry-After
  NotLoadedError           503  Retry-After; exact documented detail
    UpstreamLostError      503  the same, and the upstream is taken out at once
  GenerationFailedError    500  `Generation failed: <message>`
    AnswerCutOffError      500  the same, and the upstream is taken out at once
  DeadlineError            504
  ClientGoneError          499  read by who closed but his own direction of the connection
"""

import math
from collections.abc import Sequence
from typing import ClassVar

NOT_LOADED = "Model or tokenizer not loaded"
RETRY_SOON_S = 1.0
_MAX_MESSAGE_CHARS = 2_000

ErrorItem = dict[str, object]


class ProxyError(Exception):
    """An answer other than 200. `log_reason` says more than the caller is told, where there is more to say."""

    status: ClassVar[int] = 500

    def __init__(self, message: str, *, log_reason: str | None = None) -> None:
        super().__init__(message)
        self.message = message[:_MAX_MESSAGE_CHARS]
        self.log_reason = log_reason or self.message

    @property
    def detail(self) -> str | list[ErrorItem]:
        """The value of `detail` in the answer's body."""
        return self.message

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer, besides those every answer has."""
        return {}


class InvalidRequestError(ProxyError):
    """The request cannot be served as it is; every item has FastAPI's `type`, `loc` and `msg`."""

    status = 422

    def __init__(self, items: Sequence[ErrorItem]) -> None:
        super().__init__("; ".join(str(item["msg"]) for item in items))
        self._items = list(items)

    @classmethod
    def of(cls, kind: str, message: str, *, field: str | None = None) -> "InvalidRequestError":
        """Build the error from one cause, at `field` or at the whole body."""
        loc = ["body"] if field is None else ["body", field]
        return cls([{"type": kind, "loc": loc, "msg": message[:_MAX_MESSAGE_CHARS]}])

    @property
    def detail(self) -> list[ErrorItem]:
        """All items."""
        return self._items


class NoRoomError(InvalidRequestError):
    """The engine says that the prompt, or what is to be generated behind it, does not fit into its context."""


class BodyTooLargeError(ProxyError):
    """The request body is larger than the profile allows."""

    status = 413

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"Request body larger than the limit of {limit_bytes} bytes")

    @property
    def headers(self) -> dict[str, str]:
        """What is left of the body is not read, so the connection cannot be used again."""
        return {"Connection": "close"}


class BodyTimeoutError(ProxyError):
    """The request body did not arrive in time."""

    status = 408

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"The request body did not arrive within {timeout_s:g} s")

    @property
    def headers(self) -> dict[str, str]:
        """The rest of the body is not waited for, so the connection cannot be used again."""
        return {"Connection": "close"}


class UnsupportedEncodingError(ProxyError):
    """The request body is compressed: one of a few kilobytes could stand for gigabytes."""

    status = 415

    def __init__(self, encoding: str) -> None:
        super().__init__(f"Bodies with Content-Encoding {encoding[:100]!r} are not read; send the JSON as it is")

    @property
    def headers(self) -> dict[str, str]:
        """RFC 9110 §15.5.16."""
        return {"Accept-Encoding": "identity"}


class _RetryableError(ProxyError):
    def __init__(self, message: str, *, retry_after_s: float = RETRY_SOON_S, log_reason: str | None = None) -> None:
        super().__init__(message, log_reason=log_reason)
        self._retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        """RFC 9110 §10.2.3: whole seconds."""
        return {"Retry-After": str(max(1, math.ceil(self._retry_after_s)))}


class OverloadedError(_RetryableError):
    """The engine is at its limit of requests at once, or nothing more may wait for it."""

    status = 429

    def __init__(
        self,
        message: str = "Too many requests: the engine is at its limit of requests at once; try again later",
        *,
        retry_after_s: float = RETRY_SOON_S,
    ) -> None:
        super().__init__(message, retry_after_s=retry_after_s)


class NotLoadedError(_RetryableError):
    """No upstream serves."""

    status = 503

    def __init__(self, *, retry_after_s: float = RETRY_SOON_S, log_reason: str | None = None) -> None:
        super().__init__(NOT_LOADED, retry_after_s=retry_after_s, log_reason=log_reason)


class UpstreamLostError(NotLoadedError):
    """The upstream cannot be reached any more, or went away before it answered."""

    def __init__(self, reason: str) -> None:
        super().__init__(log_reason=reason)


class GenerationFailedError(ProxyError):
    """The engine took the request and did not finish it well. `reason` is the engine's message alone."""

    status = 500

    def __init__(self, message: str) -> None:
        super().__init__(f"Generation failed: {message}")
        self.reason = message[:_MAX_MESSAGE_CHARS]


class AnswerCutOffError(GenerationFailedError):
    """The upstream went away in the middle of its answer."""


class DeadlineError(ProxyError):
    """The request's deadline passed."""

    status = 504

    def __init__(self, deadline_s: float | None = None) -> None:
        limit = "" if deadline_s is None else f" of {deadline_s:g} s"
        super().__init__(f"The deadline{limit} passed before the generation was finished; ask for a smaller max_length")


class ClientGoneError(ProxyError):
    """The client closed its connection, or its direction of it, before the answer (nginx's status for this).

    The two look the same; only the second one's client reads it.
    """

    status = 499

    def __init__(self) -> None:
        super().__init__("The client ended the connection before the answer; it has to stay until that has come")
