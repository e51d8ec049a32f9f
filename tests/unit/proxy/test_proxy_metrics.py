"""What the metrics are called, how they are labelled, and that nothing a client sends can make a series."""

import asyncio
import re
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import Receive, Scope, Send

from fakes.running_proxy import route_table
from scout_proxy.cache.stored_answers import StoreState, StoreStatus
from scout_proxy.errors import AnswerCutOffError, NotLoadedError, OverloadedError, UpstreamLostError
from scout_proxy.observation.key_metrics import KEYS_SHOWN
from scout_proxy.observation.loop_lag import measure_loop_lag
from scout_proxy.observation.metrics import OTHER, POST_ROOT, CacheFigures, MeasuringMiddleware, Metrics
from scout_proxy.observation.upstream_metrics import FORGOTTEN_AFTER_S
from scout_proxy.upstreams.engine_loading import load_tgi_engines
from scout_proxy.upstreams.upstream_pool import UpstreamPool

Samples = dict[tuple[str, ...], float]


def samples(metrics: Metrics) -> Samples:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(UpstreamPool(load_tgi_engines))


def test_a_request_is_counted_by_its_route_and_status(metrics: Metrics) -> None:
    meter = metrics.request_handle("/generate")
    meter.finish(200, 0.0002)
    meter.finish(200, 7.0)
    meter.finish(429, 0.001)

    seen = samples(metrics)
    assert metrics.request_handle("/generate") is meter
    assert seen["scout_proxy_requests_total", "/generate", "200"] == 2
    assert seen["scout_proxy_requests_total", "/generate", "429"] == 1
    assert seen["scout_proxy_request_duration_seconds_count", "/generate"] == 3
    assert seen["scout_proxy_request_duration_seconds_sum", "/generate"] == pytest.approx(7.0012)
    assert seen["scout_proxy_request_duration_seconds_bucket", "0.001", "/generate"] == 2


def test_the_cache_is_there_from_the_first_scrape_on(metrics: Metrics) -> None:
    """A counter that appears with its first event has no increase for Prometheus."""
    seen = samples(metrics)

    for outcome in ("hit", "miss", "bypass", "coalesced"):
        assert seen["scout_proxy_cache_requests_total", outcome] == 0
    for reason in ("size", "age", "invalidated"):
        assert seen["scout_proxy_cache_evictions_total", reason] == 0
    assert seen["scout_proxy_cache_saved_seconds_total",] == 0


def test_what_the_cache_does_is_counted(metrics: Metrics) -> None:
    metrics.count_cache("HIT")
    metrics.cache_handle("HIT").value += 1
    metrics.count_eviction("size")
    metrics.saved(1.5)
    metrics.saved(0.25)
    metrics.read_cache(lambda: CacheFigures(entries=2, size_bytes=300, max_entries=10, max_bytes=1000))

    seen = samples(metrics)
    assert seen["scout_proxy_cache_requests_total", "hit"] == 2
    assert seen["scout_proxy_cache_evictions_total", "size"] == 1
    assert seen["scout_proxy_cache_saved_seconds_total",] == 1.75
    assert seen["scout_proxy_cache_entries",] == 2
    assert seen["scout_proxy_cache_size_bytes",] == 300
    assert seen["scout_proxy_cache_max_entries",] == 10
    assert seen["scout_proxy_cache_max_bytes",] == 1000


def test_what_redis_does_is_read(metrics: Metrics) -> None:
    metrics.read_store(lambda: store_status(StoreState.READ_ONLY))

    seen = samples(metrics)
    assert seen["scout_proxy_redis_up",] == 1
    assert seen["scout_proxy_redis_state", "read_only"] == 1
    assert seen["scout_proxy_redis_state", "ok"] == 0
    assert seen["scout_proxy_redis_backlog",] == 6
    assert seen["scout_proxy_redis_hits_total",] == 1
    assert seen["scout_proxy_redis_misses_total",] == 2
    assert seen["scout_proxy_redis_errors_total",] == 3
    assert seen["scout_proxy_redis_foreign_total",] == 4
    assert seen["scout_proxy_redis_dropped_total",] == 5


def test_a_redis_that_does_not_answer_is_down(metrics: Metrics) -> None:
    metrics.read_store(lambda: store_status(StoreState.UNAVAILABLE))

    assert samples(metrics)["scout_proxy_redis_up",] == 0


def test_a_redis_that_the_table_names_no_more_is_not_shown(metrics: Metrics) -> None:
    """What is not there is not down: nobody should be woken for it."""
    metrics.read_store(lambda: None)

    assert [name for name, *_ in samples(metrics) if "redis" in name] == []


def store_status(state: StoreState) -> StoreStatus:
    return StoreStatus(
        state=state, reason=None, since_s=0.0, hits=1, misses=2, errors=3, foreign=4, dropped=5, backlog=6
    )


def test_the_queue_and_refusals_are_counted(metrics: Metrics) -> None:
    metrics.read_queue(lambda: 7)
    metrics.observe_queue(0.3)
    metrics.count_refused("queue_full")

    seen = samples(metrics)
    assert seen["scout_proxy_requests_queued",] == 7
    assert seen["scout_proxy_queue_duration_seconds_count",] == 1
    assert seen["scout_proxy_requests_refused_total", "queue_full"] == 1


def test_the_speed_of_an_answer_is_the_mean_time_of_its_tokens(metrics: Metrics) -> None:
    metrics.observe_first_token("/generate", 0.2)
    metrics.observe_output("/generate", 20, 1.0)
    metrics.observe_output("/generate", 0, 1.0)
    metrics.count_tokens(prompt=3, generated=20)
    metrics.count_tokens(prompt=None, generated=None)

    seen = samples(metrics)
    assert seen["scout_proxy_time_to_first_token_seconds_sum", "/generate"] == 0.2
    assert seen["scout_proxy_time_per_output_token_seconds_count", "/generate"] == 1
    assert seen["scout_proxy_time_per_output_token_seconds_sum", "/generate"] == 0.05
    assert seen["scout_proxy_prompt_tokens_total",] == 3
    assert seen["scout_proxy_generated_tokens_total",] == 20


def test_keys_after_the_first_ones_share_a_meter(metrics: Metrics) -> None:
    for number in range(KEYS_SHOWN + 10):
        metrics.key_handle(f"key-{number}").requests.value += 1
    metrics.key_handle("key-0").generated_tokens.value += 5

    seen = samples(metrics)
    assert seen["scout_proxy_key_requests_total", "key-0"] == 1
    assert seen["scout_proxy_key_generated_tokens_total", "key-0"] == 5
    assert seen["scout_proxy_key_requests_total", OTHER] == 10
    assert len([name for name, *_ in seen if name == "scout_proxy_key_requests_total"]) == KEYS_SHOWN + 1


def test_what_runs_and_its_process_are_shown(metrics: Metrics) -> None:
    seen = samples(metrics)

    assert [value for (name, *_), value in seen.items() if name == "scout_proxy_build_info"] == [1]
    assert seen["process_resident_memory_bytes",] > 1e6
    assert seen["process_open_fds",] > 0
    assert seen["process_cpu_seconds_total",] > 0
    assert seen["scout_proxy_serving",] == 0


def test_names_follow_the_naming_rules_of_prometheus(metrics: Metrics) -> None:
    """The checks of `promtool check metrics` that matter: base units, `_total` for counters alone, help texts."""
    metrics.read_cache(lambda: CacheFigures(entries=2, size_bytes=300, max_entries=10, max_bytes=1000))
    for family in text_string_to_metric_families(metrics.render().decode()):
        assert family.documentation
        assert re.fullmatch(r"(scout_proxy|process)_[a-z]+(_[a-z]+)*", family.name), family.name
        assert not re.search(r"milliseconds|_ms|kilobytes|_mb|total", family.name), family.name
        assert family.type != "histogram" or family.name.endswith("_seconds")


def test_retries_are_counted_by_how_the_upstream_let_work_down(metrics: Metrics) -> None:
    metrics.count_retry("engine-0", UpstreamLostError("gone"))
    metrics.count_retry("engine-0", AnswerCutOffError("half"))
    metrics.count_retry("engine-0", OverloadedError())
    metrics.count_retry("engine-0", NotLoadedError())

    seen = samples(metrics)
    for reason in ("lost", "cut_off", "overloaded", "not_ready"):
        assert seen["scout_proxy_upstream_retries_total", reason, "engine-0"] == 1


def test_the_series_of_an_upstream_go_some_time_after_it() -> None:
    now_s = 0.0

    async def life() -> list[bool]:
        nonlocal now_s
        pool = UpstreamPool(load_tgi_engines)
        metrics = Metrics(pool, clock=lambda: now_s)
        pool.apply(route_table("http://127.0.0.1:9"))
        metrics.observe_upstream("engine-0", 1.0)
        shown = [has_upstream(samples(metrics))]
        pool.apply(route_table())
        for seconds in (FORGOTTEN_AFTER_S, 1):
            now_s += seconds
            shown.append(has_upstream(samples(metrics)))
        await pool.close()
        return shown

    assert asyncio.run(life()) == [True, True, False]


def has_upstream(seen: Samples) -> bool:
    return ("scout_proxy_upstream_request_duration_seconds_count", "engine-0") in seen


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("POST", "/generate", "/generate", 200),
        ("GET", "/", "/", 200),
        ("POST", "/", POST_ROOT, 200),
        ("POST", "/generate/../x", OTHER, 200),
        ("GET", "/nothing", OTHER, 499),
    ],
)
def test_the_middleware_measures_by_the_known_path(
    metrics: Metrics, method: str, path: str, route: str, status: int
) -> None:
    seen_in_flight: list[float] = []

    async def app(_: Scope, __: Receive, send: Send) -> None:
        seen_in_flight.append(metrics.in_flight.value)
        if status == 200:
            await send({"type": "http.response.start", "status": 200, "headers": []})

    async def ask() -> None:
        await MeasuringMiddleware(app, metrics=metrics, routes=["/", "/generate"])(
            {"type": "http", "method": method, "path": path}, lambda: asyncio.sleep(0, {}), lambda _: asyncio.sleep(0)
        )

    asyncio.run(ask())

    assert seen_in_flight == [1]
    assert metrics.in_flight.value == 0
    assert samples(metrics)["scout_proxy_requests_total", route, str(status)] == 1


def test_the_middleware_counts_a_request_whose_application_fails(metrics: Metrics) -> None:
    async def app(_: Scope, __: Receive, ___: Send) -> None:
        raise ZeroDivisionError

    async def ask() -> None:
        await MeasuringMiddleware(app, metrics=metrics, routes=[])(
            {"type": "http", "method": "GET", "path": "/"}, lambda: asyncio.sleep(0, {}), lambda _: asyncio.sleep(0)
        )

    with pytest.raises(ZeroDivisionError):
        asyncio.run(ask())

    assert metrics.in_flight.value == 0


def test_an_event_loop_that_is_kept_busy_is_late(metrics: Metrics) -> None:
    async def busy() -> None:
        measuring = asyncio.create_task(measure_loop_lag(metrics.loop_lag, interval_s=0.001))
        await asyncio.sleep(0)
        time.sleep(0.03)  # noqa: ASYNC251 - what must not happen is what is measured
        await asyncio.sleep(0.01)
        measuring.cancel()

    asyncio.run(busy())

    assert metrics.loop_lag.sum > 0.02
