import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.running_proxy import route_table, wait_until
from scout_proxy.__main__ import main, parse_config
from scout_proxy.config import ProxyConfig
from scout_proxy.logs import LogFormat
from scout_proxy.observation.access_log import AccessLogMode
from scout_proxy.route_table import write_route_table


@pytest.fixture(autouse=True)
def own_logs() -> Iterator[None]:
    """Give the log of this process back as it was: what `main` makes of it ends in what a test captures."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_the_command_line_becomes_the_config(tmp_path: Path) -> None:
    assert parse_config(["--routes", str(tmp_path)]) == ProxyConfig(
        routes=tmp_path, host="127.0.0.1", port=2025, log_format=LogFormat.TEXT, log_level="info"
    )


def test_what_is_logged_and_traced_is_on_the_command_line(tmp_path: Path) -> None:
    options = ["--access-log", "sampled", "--log-prompts", "--otlp-endpoint", "http://localhost:4318"]

    assert parse_config(["--routes", str(tmp_path), *options]) == ProxyConfig(
        routes=tmp_path,
        access_log=AccessLogMode.SAMPLED,
        log_prompts=True,
        otlp_endpoint="http://localhost:4318",
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--log-prompts"], "--log-prompts needs --access-log"),
        (["--access-log", "some"], "choose from"),
        (["--otlp-endpoint", "localhost:4318"], "should be a URL such as http://localhost:4318"),
    ],
)
def test_an_option_that_cannot_work_is_a_usage_error(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_config(["--routes", "r", *options])

    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("port", ["-1", "65536", "x", "²"])
def test_a_port_that_is_none_is_a_usage_error(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_config(["--routes", "r", "--port", port])

    assert caught.value.code == 2
    assert "65535" in capsys.readouterr().err or port == "-1"


def test_a_missing_route_table_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "none.json"

    assert main(["--routes", str(path), "--port", "0"]) == 2
    message = capsys.readouterr().err
    assert f"{path}: cannot be read: No such file or directory" in message
    assert "scout-deploy up" in message
    assert "Traceback" not in message


def test_a_route_table_of_another_form_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "routes.json"
    path.write_text('{"revision": 0}')

    assert main(["--routes", str(path), "--port", "0"]) == 2
    assert f"{path}: revision: " in capsys.readouterr().err


def test_a_taken_port_is_exit_code_4_and_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "routes.json"
    write_route_table(path, route_table())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert main(["--routes", str(path), "--port", str(port)]) == 4

    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in message


def test_sigterm_during_the_start_exits_with_0(tmp_path: Path) -> None:
    path = tmp_path / "routes.json"
    write_route_table(path, route_table())
    with subprocess.Popen(
        [sys.executable, "-m", "scout_proxy", "--routes", str(path), "--port", "0"], stderr=subprocess.PIPE, text=True
    ) as process:
        wait_until(lambda: handles_sigterm(process.pid), "the process handles SIGTERM")
        process.send_signal(signal.SIGTERM)
        log = process.communicate(timeout=60)[1]

    assert process.returncode == 0
    assert "Traceback" not in log


def handles_sigterm(pid: int) -> bool:
    caught = next(
        line for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines() if "SigCgt" in line
    )
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
