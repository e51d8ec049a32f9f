import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from fakes.fake_engine import Behaviour, fake_engine
from fakes.running_proxy import route_table, wait_until
from scout_proxy.__main__ import main, parse_config
from scout_proxy.config import ProxyConfig
from scout_proxy.logs import LogFormat
from scout_proxy.route_table import Limits, RouteTable, write_route_table


@contextmanager
def proxy_process(path: Path, table: RouteTable) -> Iterator[tuple[subprocess.Popen[str], str]]:
    write_route_table(path, table)
    arguments = ["--routes", str(path), "--port", "0", "--log-format", "json"]
    with subprocess.Popen(
        [sys.executable, "-m", "scout_proxy", *arguments], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            yield process, json.loads(process.stderr.readline())["url"]
        finally:
            process.kill()


def test_the_command_line_becomes_the_config(tmp_path: Path) -> None:
    assert parse_config(["--routes", str(tmp_path)]) == ProxyConfig(
        routes=tmp_path, host="127.0.0.1", port=2025, log_format=LogFormat.TEXT, log_level="info"
    )


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


def test_sigterm_lets_requests_finish_and_exits_with_0(tmp_path: Path) -> None:
    with (
        fake_engine(Behaviour(delay_s=0.3)) as engine,
        proxy_process(tmp_path / "routes.json", route_table(engine.url)) as (process, url),
    ):
        wait_until(lambda: requests.get(url + "/health", timeout=5).status_code == 200, "the proxy serves")
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=5) as client:
            client.sendall(b'POST /generate HTTP/1.1\r\nHost: x\r\nContent-Length: 22\r\n\r\n{"prompt":"my secret"}')
            wait_until(lambda: engine.seen.in_flight, "the generation is in flight")
            process.send_signal(signal.SIGTERM)
            answer = client.recv(65536)
        log = process.communicate(timeout=5)[1]

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert process.returncode == 0
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert events == ["upstream serves", "stopping", "stopped"]
    assert "my secret" not in log


def test_sigterm_does_not_wait_longer_than_the_drain_time(tmp_path: Path) -> None:
    table = route_table().model_copy(update={"limits": Limits(drain_s=0.2)})
    with fake_engine(Behaviour(delay_s=60)) as engine:
        table = table.model_copy(update={"upstreams": route_table(engine.url).upstreams})
        with proxy_process(tmp_path / "routes.json", table) as (process, url):
            wait_until(lambda: requests.get(url + "/health", timeout=5).status_code == 200, "the proxy serves")
            host, port = url.removeprefix("http://").split(":")
            with socket.create_connection((host, int(port)), timeout=5) as client:
                client.sendall(b'POST /generate HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n{"prompt":"p"}')
                wait_until(lambda: engine.seen.in_flight, "the generation is in flight")
                process.send_signal(signal.SIGTERM)
                assert process.wait(5) == 0
            wait_until(lambda: engine.seen.cancelled == 1, "the generation is cancelled")
