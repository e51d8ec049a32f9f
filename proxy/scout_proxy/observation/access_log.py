"""One log line for each request, or for some: which route, how it went, how long each part took, and what it cost.

A line holds no header and no text of the client's but its request id, which was checked; a prompt only where the
operator asks for prompts.
"""

import logging
from enum import StrEnum

from scout_proxy.observation.request_record import RequestRecord

_log = logging.getLogger(__name__)

_FAILED_FROM_STATUS = 500
ONE_IN = 100
_MAX_PROMPT_CHARS = 10_000


class AccessLogMode(StrEnum):
    """Which requests get a line: none, those that failed and one in a hundred of the others, or all."""

    OFF = "off"
    SAMPLED = "sampled"
    ALL = "all"


class AccessLog:
    """Writes lines at the level `info`. Where the mode is `off` there is no such object, which costs the least.

    Args:
        one_in: One of this many requests that did not fail gets a line.
        with_prompts: Writes prompts too, their first ten thousand characters.
    """

    def __init__(self, *, one_in: int, with_prompts: bool = False) -> None:
        self._one_in = one_in
        self._with_prompts = with_prompts
        self._count = 0

    @classmethod
    def open(cls, mode: AccessLogMode, *, with_prompts: bool = False) -> "AccessLog | None":
        """Return the log of a mode; warn where it will hold what users wrote."""
        if mode is AccessLogMode.OFF:
            return None
        if with_prompts:
            _log.warning("prompts are logged: whoever reads the log reads what users wrote")
        return cls(one_in=1 if mode is AccessLogMode.ALL else ONE_IN, with_prompts=with_prompts)

    def write(self, record: RequestRecord) -> None:
        """Write the request's line, if it is one that gets one."""
        if record.status < _FAILED_FROM_STATUS:
            self._count += 1
            if self._count % self._one_in:
                return
        if _log.isEnabledFor(logging.INFO):
            _log.info("request", extra=self._fields(record))

    def _fields(self, record: RequestRecord) -> dict[str, object]:
        fields: dict[str, object] = {
            "request_id": record.request_id,
            "method": record.method,
            "route": record.route,
            "status": record.status,
            "duration_s": round(record.duration_s, 6),
            "queue_s": _rounded(record.queue_s),
            "first_token_s": _rounded(record.first_token_s),
            "cache": record.cache,
            "prompt_tokens": record.prompt_tokens,
            "generated_tokens": record.generated_tokens,
            "key_id": record.key_id or None,
            "upstream": record.upstream,
            "trace_id": record.trace and record.trace.trace_id,
            "reason": record.reason,
            "prompt": record.prompt[:_MAX_PROMPT_CHARS] if self._with_prompts and record.prompt is not None else None,
        }
        return {name: value for name, value in fields.items() if value is not None}


def _rounded(duration_s: float | None) -> float | None:
    return None if duration_s is None else round(duration_s, 6)
