"""Spans reach a real receiver over OTLP/HTTP, say what the conventions want and no prompt, and cost no request."""

import sys
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from fakes.otlp_receiver import OtlpReceiver, attributes, otlp_receiver
from fakes.running_proxy import DEADLINE_S, wait_until
from scout_proxy.errors import GenerationFailedError
from scout_proxy.observation import tracing
from scout_proxy.observation.observer import Observer
from scout_proxy.observation.spans import GenerationFacts, Tracer, TracingError, open_tracer
from scout_proxy.observation.trace_context import RawHeaders

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PARENT = [(b"traceparent", f"00-{TRACE}-{SPAN}-01".encode()), (b"tracestate", b"rojo=1")]
FACTS = GenerationFacts(
    operation="text_completion",
    provider="tgi",
    model="meta-llama/Llama-4-Scout",
    upstream="engine-0",
    url="http://127.0.0.1:8080",
    max_tokens=32,
    temperature=0.7,
    top_p=None,
    seed=7,
)
SERVER, CLIENT = 2, 3
ERROR = 2


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with otlp_receiver() as one:
        yield one


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a tracer's end wait for what is exported, for which a busy machine needs more than the two seconds."""
    monkeypatch.setattr(tracing, "_CLOSE_S", DEADLINE_S)


@pytest.fixture
def tracer(receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> Tracer:
    monkeypatch.setattr(tracing, "_CLOSE_S", DEADLINE_S)
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_TRACES_SAMPLER"):
        monkeypatch.delenv(name, raising=False)
    return opened(receiver.url)


def opened(endpoint: str) -> Tracer:
    tracer = open_tracer(endpoint, {})
    assert tracer is not None
    return tracer


def ask(tracer: Tracer, *, headers: RawHeaders = (), status: int = 200, failure: Any = None) -> dict[str, str]:
    """Play one request with one generation; return what its upstream was sent."""
    observer = Observer(tracer=tracer)
    record = observer.begin(request_id="req-1", method="POST", route="/generate", headers=headers)
    record.prompt = "a secret prompt"
    record.cache, record.key_id, record.queue_s, record.first_token_s = "MISS", "team-a", 0.25, 0.5
    span = observer.begin_generation(record, FACTS)
    assert span is not None
    sent = span.trace.headers()
    span.end(prompt_tokens=3, generated_tokens=5, finish_reason="length", failure=failure)
    observer.end(record, status, 1.0)
    return sent


def test_a_request_is_a_server_span_with_its_queue_and_its_generation_under_it(
    receiver: OtlpReceiver, tracer: Tracer
) -> None:
    sent = ask(tracer, headers=PARENT)
    tracer.close()

    request, queue, generation = (
        receiver.named(name) for name in ("POST /generate", "queue", "text_completion meta-llama/Llama-4-Scout")
    )
    assert set(receiver.paths) == {"/v1/traces"}
    assert {span.trace_id.hex() for span in receiver.spans} == {TRACE}
    assert request.parent_span_id.hex() == SPAN
    assert queue.parent_span_id == generation.parent_span_id == request.span_id
    assert (request.kind, generation.kind) == (SERVER, CLIENT)
    assert sent == {"traceparent": f"00-{TRACE}-{generation.span_id.hex()}-01", "tracestate": "rojo=1"}
    assert queue.end_time_unix_nano - queue.start_time_unix_nano == pytest.approx(0.25e9, rel=1e-6)
    assert attributes(request.attributes) == {
        "http.request.method": "POST",
        "http.route": "/generate",
        "http.response.status_code": 200,
        "scout.request_id": "req-1",
        "scout.cache": "MISS",
        "scout.key_id": "team-a",
        "scout.time_to_first_token": 0.5,
    }
    assert attributes(generation.attributes) == {
        "gen_ai.operation.name": "text_completion",
        "gen_ai.provider.name": "tgi",
        "gen_ai.request.model": "meta-llama/Llama-4-Scout",
        "gen_ai.request.max_tokens": 32,
        "gen_ai.request.temperature": 0.7,
        "gen_ai.request.seed": 7,
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.response.finish_reasons": ["length"],
        "server.address": "127.0.0.1",
        "server.port": 8080,
        "scout.upstream": "engine-0",
    }


def test_a_request_without_a_trace_begins_one(receiver: OtlpReceiver, tracer: Tracer) -> None:
    sent = ask(tracer)
    tracer.close()

    request = receiver.named("POST /generate")
    assert request.parent_span_id == b""
    assert request.trace_id.hex() in sent["traceparent"]
    assert receiver.resources[0]["service.name"] == "scout-proxy"


def test_what_failed_is_an_error_whose_text_is_not_exported(receiver: OtlpReceiver, tracer: Tracer) -> None:
    ask(tracer, status=500, failure=GenerationFailedError("cannot go on after 'a secret prompt'"))
    tracer.close()

    request, generation = receiver.named("POST /generate"), receiver.named(f"text_completion {FACTS.model}")
    assert (request.status.code, generation.status.code) == (ERROR, ERROR)
    assert attributes(request.attributes)["error.type"] == "500"
    assert attributes(generation.attributes)["error.type"] == "GenerationFailedError"
    assert not any(b"secret" in span.SerializeToString() for span in receiver.spans)


def test_a_trace_that_is_not_sampled_is_passed_on_and_not_exported(receiver: OtlpReceiver, tracer: Tracer) -> None:
    sent = ask(tracer, headers=[(b"traceparent", f"00-{TRACE}-{SPAN}-00".encode())])
    tracer.close()

    assert receiver.spans == []
    assert sent["traceparent"].startswith(f"00-{TRACE}-")
    assert sent["traceparent"].endswith("-00")


def test_a_method_that_is_none_makes_no_name(receiver: OtlpReceiver, tracer: Tracer) -> None:
    observer = Observer(tracer=tracer)
    observer.end(observer.begin(request_id="1", method="BREW", route="other", headers=()), 405, 0.1)
    tracer.close()

    assert [span.name for span in receiver.spans] == ["_OTHER other"]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what is logged of spans; another proxy of this process may log something too."""
    return [one.message for one in caplog.records if one.name == "scout_proxy.observation.tracing"]


def test_a_receiver_that_is_not_there_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    tracer = opened("http://127.0.0.1:9")
    for _ in range(100):
        ask(tracer)
    tracer.close()

    assert len(said(caplog)) <= 1


def test_a_receiver_that_is_not_there_keeps_no_thread_once_the_proxy_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    # It would try again for a minute.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "600")
    before = set(threading.enumerate())
    tracer = opened("http://127.0.0.1:9")
    exporting = [one for one in set(threading.enumerate()) - before if one.name.startswith("Otel")]
    ask(tracer)
    tracer.close()

    assert exporting
    for thread in exporting:
        thread.join(30)
        assert not thread.is_alive(), thread.name


def sent(receiver: OtlpReceiver, count: int) -> bool:
    return len(receiver.paths) >= count


@pytest.mark.usefixtures("patience")
def test_a_receiver_that_refuses_is_said_once(
    receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    receiver.status = 400
    tracer = opened(receiver.url)
    for count in range(1, 4):
        ask(tracer)
        wait_until(partial(sent, receiver, count), "it is sent")
    tracer.close()

    assert said(caplog) == ["spans are lost: their receiver does not take them"]


def test_a_receiver_that_does_not_answer_costs_no_request_and_does_not_keep_the_proxy_from_ending(
    receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    receiver.may_answer.clear()
    tracer = opened(receiver.url)
    for _ in range(100):
        ask(tracer)
    tracer.close()

    assert receiver.paths == []


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_nothing_is_traced_unless_it_is_asked_for(environment: dict[str, str]) -> None:
    assert open_tracer(None, environment) is None


@pytest.mark.usefixtures("patience")
def test_the_environment_of_opentelemetry_is_enough(receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_SERVICE_NAME": "mine"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    tracer = open_tracer(None, environment)
    assert tracer is not None
    ask(tracer)
    tracer.close()

    assert len(receiver.spans) == 3
    assert receiver.resources[0]["service.name"] == "mine"


def test_a_protocol_that_is_not_spoken_is_said() -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}

    with pytest.raises(TracingError, match="http/protobuf alone, and the environment asks for grpc"):
        open_tracer(None, environment)


@pytest.mark.usefixtures("patience")
def test_the_protocol_of_other_programs_is_not_that_of_a_named_receiver(receiver: OtlpReceiver) -> None:
    tracer = open_tracer(receiver.url, {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
    assert tracer is not None
    ask(tracer)
    tracer.close()

    assert len(receiver.spans) == 3


def test_a_missing_extra_is_said_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "scout_proxy.observation.tracing", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)

    with pytest.raises(TracingError, match=r"pip install 'scout-deploy\[otel\]'"):
        open_tracer("http://127.0.0.1:9", {})
