"""The process that sends the requests: what is asked of it, what it says, and how it ends."""

import os
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from fakes import scripted_load
from fakes.bench_results import load
from scout_deploy.bench.load_child import LoadChild, LoadInterrupted, LoadProgress
from scout_deploy.errors import DeployError, ProfileError
from scout_loadtest.figures import Targets

TESTS = Path(scripted_load.__file__).parents[1]


@pytest.fixture(autouse=True)
def _paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.delenv("SCOUT_API_KEY", raising=False)


def child(how: str, *, key: str | None = None) -> LoadChild:
    return LoadChild(url="http://there", key=key, argv=(sys.executable, str(TESTS / "fakes/scripted_load.py"), how))


def test_the_result_and_the_progress_of_a_load_come_back() -> None:
    told: list[LoadProgress] = []
    asked = load(rate=3.0)

    result = child("good", key="scout-secret").offer(asked, Targets(ttft_ms=5), told.append)

    assert result.load == asked
    assert result.records[0].error_text == "http://there scout-secret"
    assert told == [
        LoadProgress(elapsed_s=1.0, sent=2, ended=1, failed=0, in_flight=1, ttft_p50_ms=12.5, output_tokens_per_s=3.0)
    ]


def test_no_key_of_this_environment_reaches_it_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCOUT_API_KEY", "scout-of-somebody-else")

    result = child("good").offer(load(), Targets(), lambda _: None)

    assert result.records[0].error_text == "http://there no key"


def test_the_key_is_on_no_command_line_and_in_no_text_of_it() -> None:
    assert "scout-secret" not in repr(child("good", key="scout-secret"))


def test_headers_reach_it_where_nobody_else_reads_them() -> None:
    sender = replace(child("good"), headers={"X-Secret": "scout-secret"})

    result = sender.offer(load(), Targets(), lambda _: None)

    assert result.records[0].error_text == "http://there no key {'X-Secret': 'scout-secret'}"
    assert "scout-secret" not in repr(sender)


def test_wrong_input_is_said_with_its_next_step() -> None:
    with pytest.raises(ProfileError) as raised:
        child("wrong-input").offer(load(), Targets(), lambda _: None)

    assert (raised.value.message, raised.value.next_step) == ("lengths.jsonl:3: is not JSON", "repair the line")


def test_a_child_that_died_is_shown_with_its_last_words() -> None:
    with pytest.raises(DeployError, match="ended with status 1 and without a result") as raised:
        child("crash").offer(load(), Targets(), lambda _: None)

    assert raised.value.evidence == ("Traceback: it broke",)


def test_what_cannot_be_started_is_said_with_its_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    missing = replace(child("good"), argv=(str(tmp_path / "nothing"),))
    with pytest.raises(DeployError, match=r"cannot be started: .*nothing: No such file or directory"):
        missing.offer(load(), Targets(), lambda _: None)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(DeployError, match=r"cannot be started: .*gone.*: No such file or directory"):
        child("good").offer(load(), Targets(), lambda _: None)


def test_what_nobody_understands_is_shown() -> None:
    with pytest.raises(DeployError, match="said something odd: 'hello"):
        child("odd").offer(load(), Targets(), lambda _: None)


def test_ctrl_c_ends_the_load_and_keeps_its_result() -> None:
    def interrupt(_: LoadProgress) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(LoadInterrupted) as raised:
        child("until-told").offer(load(), Targets(), interrupt)

    assert raised.value.result is not None
    assert raised.value.result.interrupted == "SIGINT"
