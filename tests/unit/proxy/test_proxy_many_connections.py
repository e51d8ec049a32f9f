"""As many clients as a machine can have connections, and more than it has files for."""

import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from fakes import idle_clients
from fakes.every_way import GENERATE, Way
from fakes.odd_engine import odd_engine
from fakes.proxy_process import ProxyProcess, proxy_process
from fakes.running_proxy import read_answer, read_to_end, route_table, wait_until
from scout_proxy.route_table import Cache, Limits

TIMEOUT_S = 100.0
KILOBYTE = 1024
MANY = 10_000
# A connection's objects and what the event loop keeps of it; the kernel's buffers are not the process's.
MOST_PER_CONNECTION = 16 * KILOBYTE
GENERATION = Way(path=GENERATE, body={"prompt": "p"}).request
ROOT = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
PATIENT = Limits(header_timeout_s=600, body_timeout_s=600)


def memory_of(proxy: ProxyProcess) -> int:
    status = Path(f"/proc/{proxy.process.pid}/status").read_text(encoding="ascii")
    return KILOBYTE * int(status.partition("VmRSS:")[2].split()[0])


def open_files_of(proxy: ProxyProcess) -> int:
    return len(list(Path(f"/proc/{proxy.process.pid}/fd").iterdir()))


@contextmanager
def idle(proxy: ProxyProcess, count: int, request: str = "") -> Iterator[None]:
    """Have so many clients that have sent this and say nothing more."""
    command = [sys.executable, idle_clients.__file__, str(proxy.port), str(count), request]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as clients:
        assert clients.stdout is not None
        assert clients.stdin is not None
        assert clients.stdout.readline() == f"{count}\n"
        yield
        clients.stdin.close()


@pytest.mark.parametrize("said", ["", "POST /generate HTTP/1.1\r\nHost: x\r\n"], ids=["nothing", "half a head"])
def test_ten_thousand_idle_connections_cost_little_and_keep_nobody_waiting(tmp_path: Path, said: str) -> None:
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if allowed < MANY * 3 // 2:
        pytest.skip(f"a process may have {allowed} files open here, and not {MANY * 3 // 2}")
    with (
        odd_engine() as engine,
        proxy_process(
            tmp_path / "routes.json", route_table(engine.url, cache=Cache(), limits=PATIENT), open_files="1024:"
        ) as proxy,
    ):
        proxy.wait_until_it_serves()
        before, files = memory_of(proxy), open_files_of(proxy)
        with idle(proxy, MANY, said):
            wait_until(lambda: open_files_of(proxy) > MANY, "all are connected", TIMEOUT_S)

            with proxy.send(GENERATION * 2) as client:
                answers = [read_answer(client) for _ in range(2)]

            assert [b"x-cache: MISS" in answers[0], b"x-cache: HIT" in answers[1]] == [True, True]
            assert memory_of(proxy) - before < MANY * MOST_PER_CONNECTION
        wait_until(lambda: open_files_of(proxy) < files + 10, "all are gone", TIMEOUT_S)


def test_who_is_one_too_many_is_told_so_and_takes_nothing_from_the_others(tmp_path: Path) -> None:
    with (
        odd_engine() as engine,
        proxy_process(tmp_path / "routes.json", route_table(engine.url, limits=PATIENT), open_files="256:256") as proxy,
        ExitStack() as stack,
    ):
        proxy.wait_until_it_serves()
        served = [stack.enter_context(proxy.connect()) for _ in range(256 * 3 // 4)]
        for connection in served:
            connection.sendall(ROOT)
            assert read_answer(connection).startswith(b"HTTP/1.1 200 ")

        too_many = [stack.enter_context(proxy.send(GENERATION)) for _ in range(20)]
        answers = [read_to_end(connection) for connection in too_many]

        assert all(answer.startswith(b"HTTP/1.1 503 ") and b"\r\nretry-after: 1" in answer for answer in answers)
        for connection in served[:5]:
            connection.sendall(GENERATION)
            assert read_answer(connection).startswith(b"HTTP/1.1 200 ")


def test_more_than_that_are_closed_and_the_others_go_on(tmp_path: Path) -> None:
    with (
        odd_engine() as engine,
        proxy_process(tmp_path / "routes.json", route_table(engine.url, limits=PATIENT), open_files="256:256") as proxy,
        ExitStack() as stack,
    ):
        proxy.wait_until_it_serves()
        first = stack.enter_context(proxy.connect())
        crowd = [stack.enter_context(proxy.connect()) for _ in range(300)]
        wait_until(lambda: any(map(is_closed, crowd)), "some are closed", TIMEOUT_S)

        first.sendall(GENERATION)

        assert read_answer(first).startswith(b"HTTP/1.1 200 ")


def is_closed(connection: socket.socket) -> bool:
    connection.settimeout(0)
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_an_engine_that_no_connection_is_left_for_is_waited_for_and_not_lost(tmp_path: Path) -> None:
    with (
        odd_engine() as engine,
        proxy_process(tmp_path / "routes.json", route_table(engine.url, limits=PATIENT), open_files="256:256") as proxy,
        ExitStack() as stack,
    ):
        proxy.wait_until_it_serves()
        engine.hold_back()
        requests = [Way(path=GENERATE, body={"prompt": f"{number}"}).request for number in range(180)]
        # All are accepted, and begin their request, before the first of them takes a connection to the engine.
        asked = [stack.enter_context(proxy.send(ROOT + request[:4])) for request in requests]
        assert all(read_answer(connection).startswith(b"HTTP/1.1 200 ") for connection in asked)
        for connection, request in zip(asked, requests, strict=True):
            connection.sendall(request[4:])
        wait_until(lambda: open_files_of(proxy) > 250, "no file is left", TIMEOUT_S)
        engine.let_go()

        answers = [read_answer(connection) for connection in asked]

        assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)
        proxy.terminate()
        assert "upstream lost" not in [event["event"] for event in proxy.events()]
