"""What is measured of each upstream. Its series go soon after it does: each update brings upstreams with new names."""

from collections.abc import Callable

from scout_proxy.errors import AnswerCutOffError, OverloadedError, ProxyError, UpstreamLostError
from scout_proxy.observation.instruments import Instruments, Labels
from scout_proxy.upstreams.observed_upstream import ObservedUpstream
from scout_proxy.upstreams.upstream_pool import UpstreamPool

# Seconds. The first three tell answers from the cache apart, which take a tenth of a millisecond; the last is the
# longest generation that a default deadline lets through.
DURATIONS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
# Prometheus forgets a series that it has not seen for five minutes; until then a scrape should still find it.
FORGOTTEN_AFTER_S = 300.0


class UpstreamMetrics:
    """Measures generations, and reads the pool when it is asked.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, make: Instruments, pool: UpstreamPool, *, clock: Callable[[], float]) -> None:
        self._pool = pool
        self._clock = clock
        self._seen_s: dict[str, float] = {}
        make.read_gauge(
            "scout_proxy_upstream_up",
            "1 while the upstream takes requests.",
            "upstream",
            read=lambda: self._read(lambda those: any(one.takes_requests for one in those)),
        )
        make.read_gauge(
            "scout_proxy_upstream_requests_in_flight",
            "Requests in flight at the upstream.",
            "upstream",
            read=lambda: self._read(lambda those: sum(one.in_flight for one in those)),
        )
        self._durations = make.distributions(
            "scout_proxy_upstream_request_duration_seconds",
            "Generations asked of an upstream, failed ones included.",
            "upstream",
            bounds=DURATIONS_S,
        )
        self._retries = make.counts(
            "scout_proxy_upstream_retries",
            "Work that was done again, by the upstream that let it down and how.",
            "upstream",
            "reason",
        )

    def observe(self, upstream: str, duration_s: float) -> None:
        """Record one generation asked of an upstream."""
        self._durations.at(upstream).observe(duration_s)

    def count_retry(self, upstream: str, failure: ProxyError) -> None:
        """Record that what `upstream` did not do is done again."""
        self._retries.at(upstream, _reason(failure)).value += 1

    def forget_gone(self) -> None:
        """Drop the series of upstreams that are gone for long."""
        now = self._clock()
        self._seen_s |= {upstream.id: now for upstream in self._pool.upstreams}
        gone = {name for name, seen_s in self._seen_s.items() if now - seen_s > FORGOTTEN_AFTER_S}
        for name in gone:
            del self._seen_s[name]
        self._durations.forget("upstream", gone)
        self._retries.forget("upstream", gone)

    def _read(self, figure: Callable[[list[ObservedUpstream]], float]) -> dict[Labels, float]:
        # One that is being left and one that follows it can have the same id, and a series may be there only once.
        by_id: dict[Labels, list[ObservedUpstream]] = {}
        for upstream in self._pool.upstreams:
            by_id.setdefault((upstream.id,), []).append(upstream)
        return {labels: figure(upstreams) for labels, upstreams in by_id.items()}


def _reason(failure: ProxyError) -> str:
    match failure:
        case UpstreamLostError():
            return "lost"
        case AnswerCutOffError():
            return "cut_off"
        case OverloadedError():
            return "overloaded"
    return "not_ready"
