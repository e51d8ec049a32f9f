"""What the whole proxy shows, logs, traces and passes on of requests that really are made."""

import json
import logging
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fakes.api_keys import ALICE, api_key, api_keys, bearer
from fakes.engine_waits import Gate
from fakes.fake_engine import Behaviour, Failure, FakeEngine, fake_engine
from fakes.otlp_receiver import OtlpReceiver, attributes, otlp_receiver
from fakes.running_proxy import DEADLINE_S, RunningProxy, route_table, running_proxy, wait_until
from scout_proxy.observation import tracing
from scout_proxy.observation.access_log import AccessLog
from scout_proxy.observation.observer import Observer
from scout_proxy.observation.spans import open_tracer
from scout_proxy.route_table import Cache

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
SENT = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "rojo=1", "X-Request-ID": "req-1"}


@pytest.fixture
def own_engine() -> Iterator[FakeEngine]:
    with fake_engine() as engine:
        yield engine


@pytest.fixture
def cached(own_engine: FakeEngine, tmp_path: Path) -> Iterator[RunningProxy]:
    """A proxy that caches, and keeps no records."""
    with running_proxy(tmp_path / "routes.json", route_table(own_engine.url, cache=Cache())) as proxy:
        proxy.wait_for("active")
        yield proxy


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpReceiver]:
    # At its end a proxy exports what is left, for which a busy machine needs more than two seconds.
    monkeypatch.setattr(tracing, "_CLOSE_S", DEADLINE_S / 2)
    with otlp_receiver() as receiver:
        yield receiver


@pytest.fixture
def observed(own_engine: FakeEngine, receiver: OtlpReceiver, tmp_path: Path) -> Iterator[RunningProxy]:
    """A proxy that caches, logs every request and traces; what it traced is there once it has stopped."""
    observer = Observer(access_log=AccessLog(one_in=1), tracer=open_tracer(receiver.url, {}))
    table = route_table(own_engine.url, cache=Cache())
    with running_proxy(tmp_path / "routes.json", table, observer=observer) as proxy:
        proxy.wait_for("active")
        yield proxy


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "scout_proxy")
    return caplog


def lines(log: pytest.LogCaptureFixture, route: str = "/generate") -> list[dict[str, Any]]:
    return [vars(record) for record in log.records if vars(record).get("route") == route]


def last_head(engine: FakeEngine) -> str:
    return engine.seen.heads[-1].lower()


def test_the_engine_is_told_the_id_and_the_trace_of_the_request(cached: RunningProxy, own_engine: FakeEngine) -> None:
    assert cached.generate(prompt="traced").status_code == 200
    answer = cached.post(json={"prompt": "another"}, headers=SENT)

    assert answer.headers["X-Request-ID"] == "req-1"
    assert "traceparent" not in own_engine.seen.heads[-2].lower()
    for name, value in SENT.items():
        assert f"{name.lower()}: {value}\r\n" in last_head(own_engine)


def test_a_trace_that_is_not_valid_is_not_passed_on(cached: RunningProxy, own_engine: FakeEngine) -> None:
    cached.post(json={"prompt": "p"}, headers={"traceparent": f"00-{'0' * 32}-{SPAN}-01", "tracestate": "rojo=1"})

    assert "tracestate" not in last_head(own_engine)
    assert "traceparent" not in last_head(own_engine)


def test_a_request_is_a_trace_of_ours_down_to_the_engine(
    observed: RunningProxy, own_engine: FakeEngine, receiver: OtlpReceiver
) -> None:
    observed.post(json={"prompt": "a secret", "temperature": 0.5, "max_length": 7, "seed": 3}, headers=SENT)
    head = last_head(own_engine)
    observed.stop()

    request = receiver.named("POST /generate")
    (generation,) = [span for span in receiver.spans if span.name.startswith("text_completion")]
    assert request.trace_id.hex() == generation.trace_id.hex() == TRACE
    assert request.parent_span_id.hex() == SPAN
    assert generation.parent_span_id == request.span_id
    assert f"traceparent: 00-{TRACE}-{generation.span_id.hex()}-01\r\n" in head
    known = attributes(generation.attributes)
    assert known["gen_ai.request.model"] == "meta-llama/Llama-4-Scout-17B-16E-Instruct"
    assert (known["gen_ai.request.max_tokens"], known["gen_ai.request.seed"]) == (7, 3)
    assert (known["gen_ai.usage.input_tokens"], known["gen_ai.usage.output_tokens"]) == (3, 5)
    assert (known["gen_ai.provider.name"], known["scout.upstream"]) == ("tgi", "engine-0")
    assert attributes(request.attributes)["scout.cache"] == "MISS"
    assert not any(b"secret" in span.SerializeToString() for span in receiver.spans)


def test_answers_from_the_cache_and_failures_are_traced_too(
    observed: RunningProxy, own_engine: FakeEngine, receiver: OtlpReceiver
) -> None:
    for _ in range(3):
        assert observed.generate().status_code == 200
    own_engine.behaviour = Behaviour(failure=Failure.GENERATION)
    assert observed.generate(prompt="fails").status_code == 500
    observed.stop()

    requests = [attributes(span.attributes) for span in receiver.spans if span.name == "POST /generate"]
    assert [one.get("scout.cache") for one in requests] == ["MISS", "HIT", "HIT", "MISS"]
    assert requests[-1]["error.type"] == "500"
    failed = [span for span in receiver.spans if span.name.startswith("text_completion")][-1]
    assert attributes(failed.attributes)["error.type"] == "GenerationFailedError"


def test_a_request_has_a_line_in_the_log_with_its_parts(observed: RunningProxy, log: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        observed.post(json={"prompt": "logged"}, headers=SENT)
    observed.post(json={"prompt": "streamed", "stream": True}, headers=SENT)
    observed.post(json={"prompt": ""}, headers=SENT)
    wait_until(lambda: len(lines(log)) == 4, "four lines")

    miss, hit, stream, refused = lines(log)
    assert [one["status"] for one in (miss, hit, stream, refused)] == [200, 200, 200, 422]
    assert [one["cache"] for one in (miss, hit, stream)] == ["MISS", "HIT", "MISS"]
    assert {one["request_id"] for one in (miss, hit, stream, refused)} == {"req-1"}
    assert {one["trace_id"] for one in (miss, hit, stream, refused)} == {TRACE}
    assert (miss["upstream"], miss["prompt_tokens"], miss["generated_tokens"]) == ("engine-0", 3, 5)
    assert "upstream" not in hit
    assert 0 < stream["first_token_s"] <= stream["duration_s"]
    assert refused["reason"]
    assert "logged" not in json.dumps([one["msg"] for one in lines(log)] + [str(one) for one in (miss, hit)])


def test_routes_of_fastapi_have_lines_too(observed: RunningProxy, log: pytest.LogCaptureFixture) -> None:
    observed.get("/health", headers=SENT)
    wait_until(lambda: lines(log, "/health"), "a line")

    (line,) = lines(log, "/health")
    assert (line["status"], line["request_id"], line["method"]) == (200, "req-1", "GET")


def test_the_cache_the_queue_and_streams_are_measured(cached: RunningProxy) -> None:
    before = cached.samples()
    for _ in range(3):
        assert cached.generate().status_code == 200
    assert cached.generate(prompt="s", stream=True).status_code == 200

    after = cached.samples()
    grown = {name: after[name] - before.get(name, 0) for name in after}
    assert grown["scout_proxy_cache_requests_total", "miss"] == 2
    assert grown["scout_proxy_cache_requests_total", "hit"] == 2
    assert after["scout_proxy_cache_saved_seconds_total",] > 0
    assert after["scout_proxy_cache_entries",] == 2
    assert 0 < after["scout_proxy_cache_size_bytes",] < after["scout_proxy_cache_max_bytes",]
    assert grown["scout_proxy_requests_total", "/generate", "200"] == 4
    assert grown["scout_proxy_queue_duration_seconds_count",] == 2
    assert grown["scout_proxy_time_to_first_token_seconds_count", "/generate"] == 1
    assert grown["scout_proxy_time_per_output_token_seconds_count", "/generate"] == 2
    assert after["scout_proxy_requests_queued",] == 0


def test_keys_and_what_is_refused_are_counted(cached: RunningProxy) -> None:
    cached.configure(keys=api_keys(api_key("alice", ALICE, requests_per_minute=2)))
    for _ in range(3):
        cached.post(json={"prompt": "p"}, headers=bearer(ALICE))
    cached.post(json={"prompt": "p"})
    cached.get("/metrics")
    seen = cached.get("/metrics", headers=bearer(ALICE)).text

    def value(series: str) -> float:
        found = re.search(rf"^{re.escape(series)} (\S+)$", seen, re.MULTILINE)
        assert found, series
        return float(found[1])

    assert value('scout_proxy_key_requests_total{key="alice"}') == 2
    assert value('scout_proxy_key_requests_refused_total{key="alice"}') == 1
    assert value('scout_proxy_key_prompt_tokens_total{key="alice"}') == 3
    assert value('scout_proxy_requests_refused_total{reason="key_limit"}') == 1
    assert value('scout_proxy_requests_refused_total{reason="unauthorized"}') == 2


@pytest.mark.parametrize(
    "asked",
    [
        ("/", {"inputs": "p", "parameters": {"max_new_tokens": 9, "seed": "no number"}}, "text_completion"),
        ("/generate_stream", {"inputs": "p", "parameters": {"max_new_tokens": 9}}, "text_completion"),
        ("/v1/completions", {"prompt": "p", "max_tokens": 9}, "text_completion"),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "p"}], "max_tokens": 9}, "chat"),
    ],
)
def test_what_is_forwarded_is_part_of_the_trace_too(
    observed: RunningProxy,
    own_engine: FakeEngine,
    receiver: OtlpReceiver,
    asked: tuple[str, dict[str, Any], str],
) -> None:
    path, body, operation = asked
    assert observed.post(path, json=body, headers=SENT).status_code == 200
    head = last_head(own_engine)
    observed.stop()

    request = receiver.named(f"POST {path}")
    (generation,) = [span for span in receiver.spans if span.name.startswith(operation)]
    known = attributes(generation.attributes)
    assert generation.parent_span_id == request.span_id
    assert known["gen_ai.request.max_tokens"] == 9
    assert known["gen_ai.usage.output_tokens"] > 1
    assert f"traceparent: 00-{TRACE}-{generation.span_id.hex()}-01\r\n" in head


def test_a_wait_for_a_place_is_a_span_and_a_part_of_the_line(
    receiver: OtlpReceiver, log: pytest.LogCaptureFixture, gate: Gate, tmp_path: Path
) -> None:
    observer = Observer(access_log=AccessLog(one_in=1), tracer=open_tracer(receiver.url, {}))
    narrow = Behaviour(gate=gate, max_concurrent_requests=1)
    with (
        fake_engine(narrow) as engine,
        running_proxy(tmp_path / "routes.json", route_table(engine.url), observer=observer) as proxy,
    ):
        proxy.wait_for("active")
        with ThreadPoolExecutor(2) as clients:
            asked = [clients.submit(proxy.generate, prompt=prompt) for prompt in ("one", "two")]
            wait_until(lambda: proxy.status()["queue"]["waiting"] == 1, "one waits for the other's place")
            gate.open()
        assert [one.result().status_code for one in asked] == [200, 200]

    waited = [line["queue_s"] for line in lines(log) if "queue_s" in line]
    queue = receiver.named("queue")
    assert len(waited) == 1
    assert waited[0] > 0
    assert (queue.end_time_unix_nano - queue.start_time_unix_nano) / 1e9 == pytest.approx(waited[0], abs=1e-3)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "p"}], "stream": True}),
        ("/generate_stream", {"inputs": "p"}),
    ],
)
def test_streams_of_other_routes_are_measured_too(
    observed: RunningProxy, log: pytest.LogCaptureFixture, path: str, body: dict[str, Any]
) -> None:
    before = observed.samples()
    answer = observed.post(path, json=body)
    assert answer.status_code == 200, answer.text
    wait_until(lambda: lines(log, path), "a line")

    after = observed.samples()
    (line,) = lines(log, path)
    assert after["scout_proxy_time_to_first_token_seconds_count", path] == 1
    assert after["scout_proxy_time_per_output_token_seconds_count", path] == 1
    assert after["scout_proxy_queue_duration_seconds_count",] == 1
    generated = after["scout_proxy_generated_tokens_total",] - before["scout_proxy_generated_tokens_total",]
    assert line["generated_tokens"] == generated > 1
    assert line["upstream"] == "engine-0"
    assert 0 < line["first_token_s"] <= line["duration_s"]


def test_tokens_of_other_routes_are_counted_to_their_key(cached: RunningProxy) -> None:
    cached.configure(keys=api_keys(api_key("alice", ALICE), open_metrics=True))
    assert cached.post("/", json={"inputs": "p"}, headers=bearer(ALICE)).status_code == 200

    after = cached.samples()
    assert after["scout_proxy_key_requests_total", "alice"] == 1
    assert after["scout_proxy_key_generated_tokens_total", "alice"] == after["scout_proxy_generated_tokens_total",] > 0
