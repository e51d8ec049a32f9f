"""The truth of a step: against an API whose latency, pace and failures are known, in processes of their own.

The machine may be busy: nothing comes earlier than it should. Medians come not much later, unless the client says
itself that it got no processor for a while.
"""

import io
import json
import math
import os
import signal
import subprocess
import sys
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from fakes.timed_api import TimedApi, timed_api
from scout_loadtest.figures import Spread, Targets
from scout_loadtest.record import ErrorKind
from scout_loadtest.run_step import main
from scout_loadtest.step import Arrival, Load, StepResult

FIRST_MS, TOKEN_MS, TOKENS = 200.0, 20.0, 11
WHOLE_MS = FIRST_MS + (TOKENS - 1) * TOKEN_MS


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "lengths.jsonl"
    path.write_text(f'{{"input_tokens": 10, "output_tokens": {TOKENS}}}\n')
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"


def load(data: Path, **changes: Any) -> Load:
    given = {"arrival": "constant", "rate": 50, "duration_s": 2, "mix": {"streamed": 1}, "data": data}
    return Load(**(given | changes))


def start(url: str, asked: Load, key: str = "", **headers: str) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-m", "scout_loadtest.run_step"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "SCOUT_API_KEY": key},
    )
    assert child.stdin
    order = {"url": url, "load": asked.model_dump(mode="json"), "targets": Targets(ttft_ms=60_000).model_dump()}
    child.stdin.write(json.dumps({**order, "headers": headers}))
    child.stdin.close()
    child.stdin = None
    return child


def result_of(child: subprocess.Popen[str]) -> StepResult:
    out, _ = child.communicate(timeout=100)
    last = json.loads(out.splitlines()[-1])

    assert (child.returncode, last["event"]) == (0, "result")
    return StepResult.model_validate(last["result"])


def measure(api: TimedApi, asked: Load, key: str = "") -> StepResult:
    return result_of(start(api.url, asked, key))


def assert_median(spread: Spread | None, expected: float, *, late_by: float) -> None:
    assert spread is not None
    assert expected - 1 <= spread.p50 <= expected + late_by


@pytest.mark.parametrize("arrival", [Arrival.CONSTANT, Arrival.CLOSED])
def test_known_latency_pace_and_failures_come_back(data: Path, folder: Path, arrival: Arrival) -> None:
    asked = load(data, arrival=arrival, users=4, warm_up_s=0.5)
    with timed_api(folder, first_ms=FIRST_MS, token_ms=TOKEN_MS, fail_every=5) as api:
        result = measure(api, asked)
    figures, is_busy = result.figures, result.client.reason is not None

    assert_median(figures.ttft_ms, FIRST_MS, late_by=math.inf if is_busy else 150)
    assert_median(figures.e2e_ms, WHOLE_MS, late_by=math.inf if is_busy else 300)
    if not is_busy:
        # A first token that is found late is nearer to the others.
        assert_median(figures.tpot_ms, TOKEN_MS, late_by=15)
    assert_median(figures.queued_ms, 7.5, late_by=0)
    failed = Counter(record.error for record in result.records)
    assert set(failed) == {None, ErrorKind.SERVER}
    assert failed[ErrorKind.SERVER] == len(result.records) // 5
    assert figures.requests == figures.succeeded + sum(figures.errors.values())
    assert figures.goodput == figures.succeeded / figures.requests
    assert figures.output_tokens == figures.succeeded * TOKENS
    assert figures.hit_rate == 0
    assert sorted(record.index for record in result.records) == list(range(len(result.records)))
    if arrival is Arrival.CONSTANT:
        assert (len(result.records), figures.requests, figures.offered_per_s) == (125, 100, 50)


def test_the_same_seed_sends_the_same_requests(data: Path, folder: Path) -> None:
    asked = load(data, arrival="poisson", rate=60, duration_s=0.5, mix={"mixed": 1}, seed=7)
    with timed_api(folder) as one, timed_api(folder) as other:
        children = start(one.url, asked), start(other.url, asked)
        results = [result_of(child) for child in children]
        sent = sorted(one.bodies()), sorted(other.bodies())

    assert sent[0] == sent[1] != []
    assert [record.due_s for record in results[0].records] == [record.due_s for record in results[1].records]
    assert {record.error for record in results[0].records} == {None}
    assert {one.load.data_sha256 for one in results} == {sha256(data.read_bytes()).hexdigest()}


def test_a_server_that_dies_is_counted_and_the_load_goes_on(data: Path, folder: Path) -> None:
    with timed_api(folder, first_ms=50, token_ms=5, die_at=30) as api:
        result = measure(api, load(data))
    errors = Counter(record.error for record in result.records)

    assert len(result.records) == 100
    # What was in flight broke, and a client that was late has much in flight; the rest found nobody.
    assert set(errors) <= {None, ErrorKind.BROKEN, ErrorKind.CUT_OFF, ErrorKind.REFUSED}
    assert errors[None] <= 29
    assert errors[ErrorKind.REFUSED] > 0
    assert result.interrupted is None


def test_users_who_find_nobody_ask_again_after_a_while(data: Path) -> None:
    result = result_of(start("http://127.0.0.1:1", load(data, arrival=Arrival.CLOSED, users=2, duration_s=2)))

    # Each asks at once, then not more often than every half a second.
    assert 2 <= len(result.records) <= 2 * 5
    assert {record.error for record in result.records} == {ErrorKind.REFUSED}


def test_an_interrupt_ends_the_load_with_what_there_is(data: Path, folder: Path) -> None:
    with timed_api(folder, first_ms=FIRST_MS, token_ms=1000) as api:
        child = start(api.url, load(data, duration_s=600, rate=10))
        assert child.stdout
        progress = json.loads(child.stdout.readline())
        child.send_signal(signal.SIGINT)
        result = result_of(child)

    assert progress["event"] == "progress"
    assert progress["sent"] > progress["ended"] == progress["failed"] == 0
    assert result.interrupted is not None
    assert result.interrupted.startswith("interrupted (SIGINT); ")
    assert result.figures.measured_s < 100


def test_wrong_input_is_told_with_its_place(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data.write_text('{"prompt": ""}\n')
    order = {"url": "http://127.0.0.1:1", "load": load(data).model_dump(mode="json")}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(order)))
    status = main()

    said = json.loads(capsys.readouterr().out)
    assert (status, said["event"]) == (2, "error")
    assert said["message"] == f'{data}:1: prompt should be a text that is not empty, got ""'
    assert "max_length" in said["next"]


@pytest.mark.parametrize("arrival", [{"arrival": "constant", "rate": 20}, {"arrival": "closed", "users": 2}])
def test_headers_are_sent_with_every_request_and_are_in_no_result(
    folder: Path, data: Path, arrival: dict[str, Any]
) -> None:
    with timed_api(folder, key="scout-secret") as api:
        # Longer where a busy machine had no time for a single request.
        for duration_s in (1, 4, 16):
            asked = Load.model_validate({"duration_s": duration_s, "mix": {"streamed": 1}, "data": data, **arrival})
            result = result_of(start(api.url, asked, Authorization="Bearer scout-secret"))
            if result.records:
                break

    assert result.figures.errors == {}
    assert result.figures.succeeded > 0
    assert "scout-secret" not in result.model_dump_json()
