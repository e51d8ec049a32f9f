"""Answers to generations that are in the cache, made from the request's bytes before there is a request at all.

What the other ways do for such a request is done here too: its key and that key's limits, its id, the metrics. A
request that asks for anything else than the usual is left to them, and so is every refusal.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from time import monotonic

from scout_proxy.access.gate import Gate
from scout_proxy.access.gate_errors import KeyLimitError, UnauthorizedError
from scout_proxy.cache.answer_cache import AnswerCache, CacheOutcome
from scout_proxy.generate.generate_service import ROUTE
from scout_proxy.http.request_id import RAW_HEADER, RequestIds
from scout_proxy.observation.metrics import Metrics
from scout_proxy.observation.observer import Observer
from scout_proxy.trial.trial_header import TRIAL_HEADER

_STATUS = 200
_METHOD = "POST"
# What changes the answer, or has to be in it.
_LEFT_TO_OTHERS = frozenset({b"cache-control", b"pragma", b"content-encoding", b"origin", b"expect", TRIAL_HEADER})


@dataclass(frozen=True, kw_only=True, slots=True)
class QuickRequest:
    """What the headers of a request say, which another one with the same headers says too."""

    authorization: bytes | None
    request_id: bytes | None
    headers: tuple[tuple[bytes, bytes], ...]


class QuickAnswers:
    """Knows answers by their request's body, once a body was validated and its answer stored."""

    def __init__(self, cache: AnswerCache, gate: Gate, metrics: Metrics, ids: RequestIds, observer: Observer) -> None:
        self._cache = cache
        self._gate = gate
        self._metrics = metrics
        self._ids = ids
        self._observer = observer
        self._meter = metrics.request_handle(ROUTE)
        self._hits = metrics.cache_handle(CacheOutcome.HIT.value)

    def read(self, headers: Iterable[tuple[bytes, bytes]]) -> QuickRequest | None:
        """Return what the headers say, None where others have to answer.

        Args:
            headers: With names in lower case.
        """
        authorization = request_id = None
        for name, value in headers:
            if name in _LEFT_TO_OTHERS:
                return None
            if name == b"authorization" and authorization is None:
                authorization = value
            elif name == RAW_HEADER and request_id is None:
                request_id = value
        return QuickRequest(authorization=authorization, request_id=request_id, headers=tuple(headers))

    def find(self, asked: QuickRequest, body: bytes) -> tuple[bytes, bytes] | None:
        """Return the end of the answer's head, after its first headers, and its body; None where others answer."""
        began_s = monotonic()
        rules = self._gate.rules
        if rules.cors:
            # Then every answer says more of whom it is for.
            return None
        try:
            key_id = rules.ring.identify(asked.authorization) if rules.keys is not None else ""
        except UnauthorizedError:
            return None
        found = self._cache.find_by_body(body, key_id)
        if found is None or not self._is_within_limits(key_id):
            return None
        rendered, end = found
        answer = rendered.answer
        self._hits.value += 1
        self._metrics.saved(answer.generation_s)
        content = rendered.beginning + end
        name = self._ids.name(asked.request_id)
        head = (
            b"x-cache: HIT\r\nage: %d\r\ncontent-type: application/json\r\ncontent-length: %d\r\nx-request-id: %b\r\n"
            % (self._cache.age_s(answer), len(content), name)
        )
        duration_s = monotonic() - began_s
        self._meter.finish(_STATUS, duration_s)
        if self._observer.keeps_records:
            record = self._observer.begin(
                request_id=name.decode("ascii"), method=_METHOD, route=ROUTE, headers=asked.headers, began_s=began_s
            )
            record.cache, record.key_id = CacheOutcome.HIT.value, key_id
            self._observer.end(record, _STATUS, duration_s)
        return head, content

    def _is_within_limits(self, key_id: str) -> bool:
        """Count the request to its key; one that is refused is refused again, and counted, by others."""
        if not key_id:
            return True
        try:
            self._gate.limits.pass_by(key_id)
        except KeyLimitError:
            return False
        self._metrics.key_handle(key_id).requests.value += 1
        return True
