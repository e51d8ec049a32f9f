import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fakes.api_keys import ALICE, api_keys
from fakes.fake_engine import FakeEngine
from fakes.running_proxy import RunningProxy
from scout_proxy import ask, config
from scout_proxy.route_table import Cache


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    """Return the exit code, the one line of stdout parsed, and stderr."""
    code = ask.main(list(arguments))
    out, err = capsys.readouterr()
    assert out.count("\n") == (1 if out else 0)
    return code, json.loads(out) if out else None, err


def test_an_answer_is_one_line_of_json(proxy: RunningProxy, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(capsys, "/health", "--port", str(proxy.port)) == (
        0,
        {"status": 200, "body": {"status": "healthy"}},
        "",
    )


def test_a_body_that_is_not_json_is_a_text(proxy: RunningProxy, capsys: pytest.CaptureFixture[str]) -> None:
    code, answer, _ = asked(capsys, "/metrics", "--port", str(proxy.port))

    assert code == 0
    assert answer["body"].startswith("# HELP")


def test_an_error_status_is_an_answer(proxy: RunningProxy, capsys: pytest.CaptureFixture[str]) -> None:
    code, answer, _ = asked(capsys, "/generate", "--port", str(proxy.port), "--body", "{}")

    assert (code, answer["status"]) == (0, 422)


def test_a_body_is_posted(proxy: RunningProxy, engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    code, answer, _ = asked(capsys, "/generate", "--port", str(proxy.port), "--body", '{"prompt": "写一首诗"}')

    assert (code, answer["status"]) == (0, 200)
    assert answer["body"]["parameters"]["prompt"] == "写一首诗"
    assert [body["inputs"] for body in engine.seen.generations] == ["写一首诗"]


def test_a_fresh_answer_is_generated_and_not_stored(
    proxy: RunningProxy, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    proxy.configure(cache=Cache())
    question = ("/generate", "--port", str(proxy.port), "--body", '{"prompt": "p"}')
    stored = [asked(capsys, *question)[1]["body"] for _ in range(2)]
    fresh = asked(capsys, *question, "--fresh")[1]["body"]

    assert stored[0] == stored[1] != fresh
    assert asked(capsys, *question)[1]["body"] == stored[0]
    assert len(engine.seen.generations) == 2


def test_a_body_is_read_from_stdin_and_the_output_is_ascii(proxy: RunningProxy) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scout_proxy.ask", "/generate", "--port", str(proxy.port), "--body", "-"],
        input='{"prompt": "诗"}'.encode(),
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout.decode("ascii"))["body"]["parameters"]["prompt"] == "诗"


@pytest.mark.parametrize(("path", "code"), [("/health", 0), ("/nope", 2)])
def test_a_status_that_is_not_expected_is_exit_code_2(
    proxy: RunningProxy, capsys: pytest.CaptureFixture[str], path: str, code: int
) -> None:
    ended, answer, said = asked(capsys, path, "--port", str(proxy.port), "--expect", "200,503")

    assert ended == code
    assert answer["status"] in {200, 404}
    assert said == ("" if code == 0 else "the proxy answered /nope with status 404; expected: 200, 503\n")


def test_a_key_is_sent_where_its_file_is_there(
    proxy: RunningProxy, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    proxy.configure(keys=api_keys())
    path = tmp_path / "key"
    question = ("--port", str(proxy.port), "--key-file", str(path))

    assert asked(capsys, "/status", *question)[1]["status"] == 401
    path.write_text(ALICE + "\n", encoding="utf-8")
    assert asked(capsys, "/status", *question)[1]["status"] == 200
    assert asked(capsys, "/generate", *question, "--body", '{"prompt": "p"}')[1]["status"] == 200


def test_no_answer_is_exit_code_1_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, answer, said = asked(capsys, "/health", "--port", "1")

    assert (code, answer) == (1, None)
    assert said == "the proxy at 127.0.0.1 port 1 did not answer /health: [Errno 111] Connection refused\n"


def test_a_proxy_that_says_nothing_is_given_up(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])

        code, _, said = asked(capsys, "/health", "--port", port, "--timeout", "0.05")

    assert code == 1
    assert "timed out" in said


@pytest.mark.parametrize("path", ["/two words", "/诗"])
def test_a_path_that_is_none_is_one_line(proxy: RunningProxy, capsys: pytest.CaptureFixture[str], path: str) -> None:
    code, answer, said = asked(capsys, path, "--port", str(proxy.port))

    assert (code, answer, said.count("\n")) == (1, None, 1)


def test_expected_statuses_that_are_none_are_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        ask.main(["/health", "--expect", "ok"])

    assert caught.value.code == 2
    assert "such as 200,503" in capsys.readouterr().err


def test_it_starts_without_the_proxys_libraries_and_asks_its_port() -> None:
    code = "import sys, scout_proxy.ask; print(*sys.modules); print(scout_proxy.ask._DEFAULT_PORT)"
    modules, port = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    ).stdout.splitlines()

    assert not {"pydantic", "fastapi", "aiohttp", "uvicorn", "asyncio"} & set(modules.split())
    assert int(port) == config.DEFAULT_PORT
