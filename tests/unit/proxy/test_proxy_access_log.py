"""Which requests get a log line, what is in it, and what never is."""

import asyncio
import io
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from scout_proxy.logs import EventFormatter, LogFormat
from scout_proxy.observation.access_log import ONE_IN, AccessLog, AccessLogMode
from scout_proxy.observation.metrics import OTHER, MeasuringMiddleware, Metrics
from scout_proxy.observation.observer import Observer
from scout_proxy.observation.request_record import RequestRecord
from scout_proxy.observation.trace_context import TraceContext
from scout_proxy.upstreams.engine_loading import load_tgi_engines
from scout_proxy.upstreams.upstream_pool import UpstreamPool

TRACE = "0af7651916cd43dd8448eb211c80319c"
LOGGER = "scout_proxy.observation.access_log"
Lines = Callable[[], list[logging.LogRecord]]


@pytest.fixture
def seen(caplog: pytest.LogCaptureFixture) -> Lines:
    """Give the lines of this log alone: a proxy in another thread may say something too."""
    caplog.set_level(logging.INFO, LOGGER)
    return lambda: [line for line in caplog.records if line.name == LOGGER]


def record(**fields: Any) -> RequestRecord:
    return RequestRecord(
        **{"request_id": "req-1", "method": "POST", "route": "/generate", "began_s": 0.0, "status": 200, **fields}
    )


def full_record() -> RequestRecord:
    return record(
        duration_s=1.23456789,
        queue_s=0.25,
        first_token_s=0.5,
        cache="MISS",
        prompt_tokens=3,
        generated_tokens=5,
        key_id="team-a",
        upstream="engine-0",
        prompt="tell me a secret",
        trace=TraceContext(trace_id=TRACE, span_id="b7ad6b7169203331"),
    )


def written(form: LogFormat, log: AccessLog, what: RequestRecord) -> str:
    """Return what one record becomes in this process's log."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(EventFormatter(form))
    logger = logging.getLogger(LOGGER)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        log.write(what)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    return stream.getvalue()


def test_a_line_says_what_is_known_as_json() -> None:
    line = json.loads(written(LogFormat.JSON, AccessLog(one_in=1), full_record()))

    assert line.pop("time")
    assert line == {
        "level": "info",
        "event": "request",
        "request_id": "req-1",
        "method": "POST",
        "route": "/generate",
        "status": 200,
        "duration_s": 1.234568,
        "queue_s": 0.25,
        "first_token_s": 0.5,
        "cache": "MISS",
        "prompt_tokens": 3,
        "generated_tokens": 5,
        "key_id": "team-a",
        "upstream": "engine-0",
        "trace_id": TRACE,
    }


def test_a_line_leaves_out_what_is_not_known_as_text() -> None:
    line = written(LogFormat.TEXT, AccessLog(one_in=1), record(status=422, reason="too long"))

    assert line.endswith(
        ' INFO request request_id="req-1" method="POST" route="/generate" status=422 duration_s=0.0 reason="too long"\n'
    )


def test_prompts_are_written_only_where_they_are_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    log = AccessLog.open(AccessLogMode.ALL, with_prompts=True)
    assert log is not None

    assert "prompts are logged" in caplog.text
    assert json.loads(written(LogFormat.JSON, log, full_record()))["prompt"] == "tell me a secret"
    assert len(json.loads(written(LogFormat.JSON, log, record(prompt="x" * 20_000)))["prompt"]) == 10_000


def test_there_is_no_log_where_it_is_off() -> None:
    assert AccessLog.open(AccessLogMode.OFF) is None
    assert not Observer(access_log=None).keeps_records


def test_a_sample_has_every_failure_and_few_of_the_others(seen: Lines) -> None:
    log = AccessLog.open(AccessLogMode.SAMPLED)
    assert log is not None

    for _ in range(2 * ONE_IN):
        log.write(record())
    for _ in range(3):
        log.write(record(status=500))

    assert [vars(line)["status"] for line in seen()] == [200, 200, 500, 500, 500]


def test_tokens_of_several_sequences_are_added() -> None:
    one = record()
    one.add_tokens(prompt=None, generated=None)
    assert (one.prompt_tokens, one.generated_tokens) == (None, None)

    one.add_tokens(prompt=3, generated=5)
    one.add_tokens(prompt=3, generated=7)
    assert (one.prompt_tokens, one.generated_tokens) == (6, 12)


@pytest.mark.parametrize(("path", "route"), [("/generate", "/generate"), ("/secret?", OTHER)])
def test_the_middleware_keeps_a_record_for_who_answers(seen: Lines, path: str, route: str) -> None:
    async def app(scope: Scope, _: Receive, send: Send) -> None:
        scope["state"]["record"].cache = "HIT"
        await send({"type": "http.response.start", "status": 200, "headers": []})

    observer = Observer(access_log=AccessLog(one_in=1))
    metrics = Metrics(UpstreamPool(load_tgi_engines))
    middleware = MeasuringMiddleware(app, metrics=metrics, routes=["/generate"], observer=observer)
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": [(b"traceparent", f"00-{TRACE}-b7ad6b7169203331-01".encode()), (b"authorization", b"Bearer k")],
        "state": {"request_id": "req-2"},
    }

    asyncio.run(middleware(scope, lambda: asyncio.sleep(0, {}), lambda _: asyncio.sleep(0)))

    (line,) = seen()
    fields = vars(line)
    assert (fields["request_id"], fields["route"], fields["status"], fields["cache"]) == ("req-2", route, 200, "HIT")
    assert fields["trace_id"] == TRACE
    assert "Bearer" not in str(fields)
