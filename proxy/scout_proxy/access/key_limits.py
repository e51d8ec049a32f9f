"""How much each API key may ask for: requests per minute, and requests at once."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from scout_proxy.access.gate_errors import KeyLimitError
from scout_proxy.errors import RETRY_SOON_S
from scout_proxy.route_table import ApiKey, Keys

_MINUTE_S = 60.0
# How much the last time that a key was full tells of the next one.
_NEWEST_SHARE = 0.3


class KeyLimits:
    """Counts what the keys do. What is in flight is counted for every key, so that limits can change meanwhile.

    The rate is a bucket of one minute's worth that fills evenly: whoever sends no more than the limit in any minute is
    never refused; after a quiet minute, up to twice as many can come in one, and never more over a longer time.
    """

    def __init__(self, keys: Keys | None, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._uses: dict[str, _Use] = {}
        self.apply(keys)

    def apply(self, keys: Keys | None) -> None:
        """Take the limits of a new table; what is in flight, and what is left of a minute, stays."""
        given = () if keys is None else keys.keys
        gone = self._uses.keys() - {key.id for key in given}
        for key_id in gone:
            if self._uses[key_id].in_flight:
                self._uses[key_id].unlimit()
            else:
                del self._uses[key_id]
        now_s = self._clock()
        for key in given:
            self._use_of(key.id).limit(key, now_s)

    def begin(self, key_id: str) -> None:
        """Count a request that begins. Each that was not refused is ended once, by `end` with the same id.

        Raises:
            KeyLimitError: The key is at one of its limits; the request is not counted.
        """
        use = self._use_of(key_id)
        if use.is_limited:
            use.check(key_id, self._clock())
        use.in_flight += 1

    def end(self, key_id: str) -> None:
        """Count a request that has ended, however it did."""
        use = self._use_of(key_id)
        if use.in_flight == use.max_concurrent:
            use.note_place(self._clock())
        use.in_flight -= 1

    def pass_by(self, key_id: str) -> None:
        """Count a request that begins and ends at once.

        Raises:
            KeyLimitError: The key is at one of its limits; the request is not counted.
        """
        use = self._use_of(key_id)
        if use.is_limited:
            self.begin(key_id)
            self.end(key_id)

    def in_flight(self, key_id: str) -> int:
        """Return how many of a key's requests are being answered."""
        return self._use_of(key_id).in_flight

    def _use_of(self, key_id: str) -> "_Use":
        use = self._uses.get(key_id)
        if use is None:
            use = self._uses[key_id] = _Use()
        return use


@dataclass(slots=True, kw_only=True)
class _Use:
    """What one key does.

    Args:
        requests_per_minute: 0 is without limit.
        max_concurrent: 0 is without limit.
        tokens: Requests that may come at `filled_s`.
        full_since_s: When the last place was taken.
        full_for_s: How long it takes until one of the places is free, learnt from the times that none was.
    """

    is_limited: bool = False
    in_flight: int = 0
    requests_per_minute: float = 0
    max_concurrent: int = 0
    tokens: float = 0
    filled_s: float = 0
    full_since_s: float = 0
    full_for_s: float = RETRY_SOON_S

    def limit(self, key: ApiKey, now_s: float) -> None:
        rate = key.requests_per_minute or 0
        if not self.requests_per_minute:
            self.tokens, self.filled_s = _burst(rate), now_s
        else:
            self.fill(now_s)
            self.tokens = min(self.tokens, _burst(rate))
        self.requests_per_minute = rate
        self.max_concurrent = key.max_concurrent or 0
        self.is_limited = bool(self.requests_per_minute or self.max_concurrent)
        self.full_since_s = now_s

    def unlimit(self) -> None:
        self.is_limited, self.requests_per_minute, self.max_concurrent = False, 0, 0

    def fill(self, now_s: float) -> None:
        earned = (now_s - self.filled_s) * self.requests_per_minute / _MINUTE_S
        self.tokens = min(_burst(self.requests_per_minute), self.tokens + earned)
        self.filled_s = now_s

    def check(self, key_id: str, now_s: float) -> None:
        if self.max_concurrent:
            self._check_places(key_id, now_s)
        if self.requests_per_minute:
            self._take_token(key_id, now_s)

    def note_place(self, now_s: float) -> None:
        """Learn from a place that becomes free while none was."""
        lasted_s = now_s - self.full_since_s
        self.full_for_s += _NEWEST_SHARE * (lasted_s - self.full_for_s)

    def _check_places(self, key_id: str, now_s: float) -> None:
        if self.in_flight >= self.max_concurrent:
            left_s = self.full_for_s - (now_s - self.full_since_s)
            raise KeyLimitError(key_id, f"{self.max_concurrent} requests at once", retry_after_s=left_s)
        if self.in_flight + 1 == self.max_concurrent:
            self.full_since_s = now_s

    def _take_token(self, key_id: str, now_s: float) -> None:
        self.fill(now_s)
        if self.tokens < 1:
            missing_s = (1 - self.tokens) * _MINUTE_S / self.requests_per_minute
            raise KeyLimitError(key_id, f"{self.requests_per_minute:g} requests per minute", retry_after_s=missing_s)
        self.tokens -= 1


def _burst(requests_per_minute: float) -> float:
    """Less than one request per minute still lets one pass."""
    return max(1.0, requests_per_minute)
