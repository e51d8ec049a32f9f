"""What is left of the contract while the engine hangs, dies in the middle or never loads, and clients drip."""

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from fakes.command_line import TIMEOUT_S, CommandLine, command_line
from fakes.gguf_writer import write_tiny_model
from fakes.held_engine import HeldEngine

NOT_LOADED = {"detail": "Model or tokenizer not loaded"}
DEADLINE_S = 4.0
MOST_SEQUENCES = 20
MOST_TRIES = 5
SLOW_CLIENT_TIMEOUT_S = 1.0
SHORT = {"prompt": "Tell me about a river.", "max_length": 16}
# So hot that the model rarely ends by itself, and as many sequences as the engine has slots: work for seconds.
LONG = {
    "prompt": "Tell me about a river.",
    "max_length": 4000,
    "temperature": 10_000,
    "top_p": 1,
    "top_k": 0,
    "num_return_sequences": 8,
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    with command_line(tmp_path_factory.mktemp("chaos")) as cli:
        cli.up(
            *("--set", f"proxy.limits.deadline_s={DEADLINE_S}"),
            *("--set", f"engine.max_concurrent_requests={MOST_SEQUENCES}"),
            *("--set", f"proxy.queue.max_waiting={MOST_SEQUENCES}"),
            *("--set", f"proxy.limits.header_timeout_s={SLOW_CLIENT_TIMEOUT_S}"),
            *("--set", f"proxy.limits.body_timeout_s={SLOW_CLIENT_TIMEOUT_S}"),
        )
        yield cli


@pytest.fixture
def clients() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(6) as pool:
        yield pool


def wait_until(condition: Callable[[], object], what: str, *, within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.01)


def generate(cli: CommandLine, body: object = SHORT) -> requests.Response:
    # These tests are of engines, not of stored answers.
    return requests.post(f"{cli.url}/generate", json=body, headers={"Cache-Control": "no-cache"}, timeout=30)


def begin_long_work(cli: CommandLine, clients: ThreadPoolExecutor) -> Future[requests.Response]:
    """Send a long request, and return when the engine works on it."""
    for _ in range(MOST_TRIES):
        answer = clients.submit(generate, cli, LONG)
        if is_seen_at_work(cli, answer):
            return answer
    raise AssertionError(f"{MOST_TRIES} times it was over before the engine was seen at work")


def is_seen_at_work(cli: CommandLine, answer: Future[requests.Response]) -> bool:
    """Wait until the engine generates; False where the answer came before that was seen."""
    wait_until(lambda: answer.done() or engine_gauge(cli, "tgi_batch_current_size") > 0, "the engine generates")
    return not answer.done()


def answer_of_killed(cli: CommandLine, clients: ThreadPoolExecutor) -> requests.Response:
    """Kill the engine while it works, and return what its client is told of that."""
    for _ in range(MOST_TRIES):
        pid = engine_pid(cli)
        pending = begin_long_work(cli, clients)
        os.kill(pid, signal.SIGKILL)
        answer = pending.result()
        wait_until_back(cli, pid)
        # A machine that stands still may come to the deadline, or to the end of the work, before the kill.
        if answer.status_code not in {200, 504}:
            return answer
    raise AssertionError(f"{MOST_TRIES} times nobody was told of the engine's death")


def engine_gauge(cli: CommandLine, name: str) -> float:
    """Read a figure that the engine itself shows."""
    (upstream,) = cli.proxy_status()["upstreams"]
    exposition = requests.get(f"{upstream['url']}/metrics", timeout=30).text
    (value,) = [
        sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
        if sample.name == name
    ]
    return float(value)


def is_healthy(cli: CommandLine) -> bool:
    return requests.get(f"{cli.url}/health", timeout=30).status_code == 200


def wait_until_back(cli: CommandLine, killed: int) -> None:
    """Wait until another engine serves than the one that was killed."""
    wait_until(lambda: cli.pid("engine") not in {None, killed} and is_healthy(cli), "the engine is back")


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Hold a process for the length of a block, as a machine that swaps does."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def engine_pid(cli: CommandLine) -> int:
    pid = cli.pid("engine")
    assert pid is not None
    return pid


def test_the_default_profile_states_the_documented_identity(running: CommandLine) -> None:
    assert requests.get(running.url, timeout=30).json() == {
        "name": "Llama 4 Scout-17B API",
        "version": "1.0.0",
        "status": "active",
        "model": "meta-llama/Llama-4-Scout-17B-16E-Instruct",
    }


def test_a_generation_whose_engine_dies_has_the_documented_answer_at_once(
    running: CommandLine, clients: ThreadPoolExecutor
) -> None:
    answer = answer_of_killed(running, clients)

    # Had it waited for its deadline, it would be a 504.
    if answer.status_code == 503:
        assert answer.json() == NOT_LOADED
        assert int(answer.headers["Retry-After"]) >= 1
    else:
        assert answer.status_code == 500
        assert answer.json().keys() == {"detail"}
        assert answer.json()["detail"].startswith("Generation failed: ")
    assert generate(running).status_code == 200


def test_an_engine_that_hangs_is_a_504_at_the_deadline_and_serves_on_afterwards(running: CommandLine) -> None:
    with stopped(engine_pid(running)):
        began = time.monotonic()
        answer = generate(running)
        took_s = time.monotonic() - began

    assert answer.status_code == 504
    assert answer.json().keys() == {"detail"}
    assert f"{DEADLINE_S:g} s" in answer.json()["detail"]
    assert took_s >= DEADLINE_S - 0.1
    wait_until(lambda: is_healthy(running), "the engine is seen again")
    assert generate(running).status_code == 200


def test_too_much_at_once_is_a_429_or_a_504_and_leaves_the_engine_free(
    running: CommandLine, clients: ThreadPoolExecutor
) -> None:
    at_once = [clients.submit(generate, running, LONG) for _ in range(6)]
    answers = [one.result() for one in at_once]

    for answer in answers:
        assert answer.json().keys() == ({"generated_texts", "parameters"} if answer.ok else {"detail"})
    assert {429, 504} <= {answer.status_code for answer in answers} <= {200, 429, 504}
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers if answer.status_code == 429)
    wait_until(lambda: engine_gauge(running, "tgi_batch_current_size") == 0, "the engine is free")
    wait_until(lambda: engine_gauge(running, "tgi_queue_size") == 0, "nothing waits at it")


def test_a_client_that_leaves_frees_the_engine(running: CommandLine) -> None:
    with socket.create_connection(("127.0.0.1", running.port)) as leaving:
        request = requests.Request("POST", f"{running.url}/generate", json=LONG).prepare()
        assert isinstance(request.body, bytes)
        head = f"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Length: {len(request.body)}\r\n\r\n"
        leaving.sendall(head.encode() + request.body)
        wait_until(lambda: engine_gauge(running, "tgi_batch_current_size") > 0, "the engine generates")

    wait_until(lambda: engine_gauge(running, "tgi_batch_current_size") == 0, "the engine is free")
    wait_until(lambda: running.proxy_status()["in_flight"] == 0, "nothing is in flight")


def test_clients_that_send_drop_by_drop_are_ended_while_others_are_answered(
    running: CommandLine, clients: ThreadPoolExecutor
) -> None:
    in_the_head = b"POST /generate HTTP/1.1\r\nHost: x\r\nX-Slow: "
    in_the_body = b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
    in_a_chunk = b"POST /generate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n"
    silent = b""
    slow = [begin_slowly(running, start) for start in (in_the_head, in_the_body, in_a_chunk, silent) for _ in range(50)]
    dripping = clients.submit(drip_until_ended, slow[:150])

    served = 0
    while not served or not dripping.done():
        assert generate(running).status_code == 200
        served += 1
    ends = dripping.result()
    ends_of_silent = [read_to_the_end(one) for one in slow[150:]]

    seen = {end[:12] for end in ends}
    # A drop on its way when the server closes can cost that client its answer, by a reset.
    assert b"HTTP/1.1 408" in seen
    assert seen <= {b"HTTP/1.1 408", b""}
    assert set(ends_of_silent) == {b""}


def begin_slowly(cli: CommandLine, start: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", cli.port), timeout=30)
    connection.sendall(start)
    return connection


def drip_until_ended(connections: list[socket.socket]) -> list[bytes]:
    """Send a byte on each connection again and again until it is answered; return the answers."""
    waiting, answers = set(connections), []
    deadline = time.monotonic() + 60 * SLOW_CLIENT_TIMEOUT_S
    while waiting:
        assert time.monotonic() < deadline, f"{len(waiting)} clients were not ended"
        answered, _, _ = select.select(waiting, [], [], SLOW_CLIENT_TIMEOUT_S / 10)
        for connection in answered:
            answers.append(read_to_the_end(connection))
            waiting.remove(connection)
        for connection in waiting:
            # Of one that was ended in this very moment, the next look reads the answer.
            with suppress(ConnectionError):
                connection.send(b"a")
    return answers


def read_to_the_end(connection: socket.socket) -> bytes:
    """Return what the server sends before it closes; a server that keeps the connection is a timeout."""
    received = b""
    # A drop that arrives after the end is answered with a reset.
    with connection, suppress(ConnectionResetError):
        while chunk := connection.recv(65_536):
            received += chunk
    return received


def test_a_model_that_never_loads_is_the_documented_503_until_down(tmp_path: Path) -> None:
    # Its header is that of a model, so that only the engine finds out that nearly all of it is missing.
    corrupt = write_tiny_model(tmp_path / "corrupt.gguf")
    with command_line(tmp_path) as cli:
        failed = cli.run("up", "--port", str(cli.port), "--set", f"model.path={corrupt}")
        wait_until(lambda: cli.proxy_status()["status"] == "unavailable", "the proxy knows of the failure")
        root = requests.get(cli.url, timeout=30)
        health = requests.get(f"{cli.url}/health", timeout=30)
        generated = generate(cli)
        refused = generate(cli, {})
        shown = cli.run("status")
        cli.run("down")

        assert failed.returncode == 10
        assert (root.status_code, root.json()["status"]) == (200, "unavailable")
        for answer in (health, generated):
            assert (answer.status_code, answer.json()) == (503, NOT_LOADED)
            assert int(answer.headers["Retry-After"]) >= 1
            assert answer.headers["X-Request-ID"]
        assert refused.status_code == 422
        assert "scout: failed" in shown.stdout
        assert str(corrupt) in shown.stdout
        assert cli.processes() == ()
        assert cli.deployments() == []


def test_a_model_that_is_still_loading_is_the_documented_503(tmp_path: Path) -> None:
    with command_line(tmp_path) as cli:
        held = HeldEngine(tmp_path / "held")
        with cli.start("up", "--port", str(cli.port), "--json", variables=held.variables) as up:
            assert up.stdout is not None
            assert '"phase": "start"' in up.stdout.readline()
            wait_until(lambda: answers(cli), "the proxy is there before the engine")
            root, generated = requests.get(cli.url, timeout=30), generate(cli)
            during = cli.proxy_status()
            held.let_go()
            up.communicate(timeout=TIMEOUT_S)

        assert root.json()["status"] == "starting"
        assert (generated.status_code, generated.json()) == (503, NOT_LOADED)
        assert int(generated.headers["Retry-After"]) >= 1
        assert (during["status"], during["phase"]) == ("starting", during["upstreams"][0]["phase"]["name"])
        assert up.returncode == 0
        assert generate(cli).status_code == 200


def answers(cli: CommandLine) -> bool:
    try:
        return requests.get(cli.url, timeout=30).ok
    except requests.ConnectionError:
        return False


def test_an_up_killed_halfway_is_taken_up_by_the_next_one(tmp_path: Path) -> None:
    with command_line(tmp_path) as cli:
        held = HeldEngine(tmp_path / "held")
        with cli.start("up", "--port", str(cli.port), variables=held.variables) as first:
            assert first.stdout is not None
            while " start" not in first.stdout.readline():
                assert first.poll() is None
            first.kill()

        held.let_go()
        cli.up()

        assert generate(cli).status_code == 200
        assert len(cli.processes()) == 3
