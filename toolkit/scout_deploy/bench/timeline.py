"""What the proxy says of itself while it is measured: /status and /metrics, once a second."""

import http.client
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from scout_deploy.api_client import ApiAnswer, ApiClient
from scout_loadtest.bench_run import Sample

_PERIOD_S = 1.0
_TIMEOUT_S = 2.0
_OUTPUT_TOKENS = "scout_proxy_generated_tokens_total"
_CACHE = "scout_proxy_cache_requests_total"
_REQUESTS = "scout_proxy_requests_total"


class Timeline:
    """Samples an API in the background; a proxy that is gone is a sample too.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(
        self, client: ApiClient, *, period_s: float = _PERIOD_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._period_s = period_s
        self._clock = clock
        self._began_s = clock()
        self._stop = threading.Event()
        self._samples: list[Sample] = []
        self._thread = threading.Thread(target=self._run, name="timeline", daemon=True)

    def __enter__(self) -> "Timeline":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=2 * _TIMEOUT_S)

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Those until now."""
        return tuple(self._samples)

    def _run(self) -> None:
        due_s = self._began_s
        while not self._stop.is_set():
            at_s = self._clock() - self._began_s
            self._samples.append(sample(self._client, at_s=at_s))
            # One that took long leaves others out; two at once would say nothing more.
            due_s = max(due_s + self._period_s, self._clock())
            self._stop.wait(due_s - self._clock())


def sample(client: ApiClient, *, at_s: float) -> Sample:
    """Ask once. What the API does not say, or refuses to say, is null."""
    status = _ask(client, "/status")
    if status is None:
        return Sample(at_s=round(at_s, 3), is_answering=False)
    metrics = _ask(client, "/metrics")
    counts = _counts(metrics.body) if metrics is not None and isinstance(metrics.body, str) else {}
    return Sample(at_s=round(at_s, 3), is_answering=True, **_of_status(status.body), **counts)


def _ask(client: ApiClient, path: str) -> ApiAnswer | None:
    try:
        return client.ask(path, timeout_s=_TIMEOUT_S)
    except (OSError, http.client.HTTPException):
        return None


def _of_status(body: Any) -> dict[str, Any]:
    match body:
        case {
            "upstreams": list() as upstreams,
            "in_flight": int() as in_flight,
            "queue": {"waiting": int() as waiting},
        }:
            serving = sum(one.get("takes_requests") is True for one in upstreams if isinstance(one, dict))
            return {"engines_serving": serving, "in_flight": in_flight, "waiting": waiting}
    return {}


def _counts(text: str) -> dict[str, float]:
    totals: dict[str, float] = {}
    for name, value in _totals(text.splitlines()):
        totals[name] = totals.get(name, 0.0) + value
    return totals


def _totals(lines: Iterable[str]) -> Iterator[tuple[str, float]]:
    # Only a few of many lines are looked at closely: the processor is wanted by what is measured.
    ours = "\n".join(line for line in lines if line.startswith((_OUTPUT_TOKENS, _CACHE, _REQUESTS)))
    try:
        families = list(text_string_to_metric_families(ours + "\n"))
    except ValueError:
        return
    for one in (one for family in families for one in family.samples):
        if one.name == _OUTPUT_TOKENS:
            yield "output_tokens_total", one.value
        elif one.name == _REQUESTS:
            yield "requests_total", one.value
        elif one.name == _CACHE and one.labels.get("outcome") in {"hit", "HIT"}:
            yield "cache_hits_total", one.value
