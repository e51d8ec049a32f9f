"""Starting, being full, losing clients, stopping: real processes and raw sockets."""

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

import pytest
import requests

from fakes.engine_process import EngineProcess, engine_command, read_until_ready, running_engine, spawn_engine
from fakes.this_machine import unused_port
from scout_engine.arguments import DEMO_MODEL, parse_arguments
from scout_engine.errors import ArgumentError

# An answer that no end-of-text token can end: it has to name 3,000 values.
ENDLESS = {
    "inputs": "Hi",
    "parameters": {
        "grammar": {
            "type": "json",
            "value": {
                "properties": {"a": {"type": "array", "items": {"type": "boolean"}, "minItems": 3000}},
                "required": ["a"],
            },
        }
    },
}
DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def narrow() -> Iterator[EngineProcess]:
    """An engine with one slot and room for three requests."""
    with running_engine("--slots", "1", "--context", "4096", "--max-concurrent-requests", "3") as started:
        yield started


def metric(url: str, name: str) -> float:
    lines = requests.get(f"{url}/metrics", timeout=DEADLINE_S).text.splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + DEADLINE_S
    while not condition():
        assert monotonic() < deadline, "the condition did not come true"
        sleep(0.01)


@contextmanager
def asking(engine: EngineProcess, path: str, body: object) -> Iterator[socket.socket]:
    """A request on a raw connection, which is closed on the way out without waiting for the answer."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", engine.port), timeout=DEADLINE_S) as connection:
        connection.sendall(head.encode() + content)
        yield connection


def is_running(engine: EngineProcess, running: int, waiting: int = 0) -> Callable[[], bool]:
    return lambda: (
        metric(engine.url, "tgi_batch_current_size") == running and metric(engine.url, "tgi_queue_size") == waiting
    )


def run_to_exit(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = engine_command(*arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False, env=environment)


def test_a_start_writes_one_line_for_each_phase(narrow: EngineProcess) -> None:
    phases = [line.split()[1] for line in narrow.lines]

    assert phases == ["phase=load", "phase=warm-up", "phase=ready"]
    assert narrow.lines[0] == f"scout-engine: phase=load model={DEMO_MODEL}"


def test_the_port_is_held_but_refuses_until_the_model_is_ready(tmp_path: Path) -> None:
    # None of those that the system gives away: a connection to one of them can meet itself.
    port = unused_port()
    # It waits for its contents, so that the engine is loading for as long as it takes to look.
    model = tmp_path / "model.gguf"
    os.mkfifo(model)
    process = spawn_engine("--port", str(port), "--model", str(model))
    try:
        assert process.stdout is not None
        assert "phase=load" in process.stdout.readline()
        with socket.socket() as probe:
            refused = probe.connect_ex(("127.0.0.1", port))
        with socket.socket() as other, pytest.raises(OSError, match="Address already in use"):
            other.bind(("127.0.0.1", port))
    finally:
        process.kill()
        process.communicate()
    with running_engine("--port", str(port)) as started:
        answer = requests.post(
            f"{started.url}/generate",
            json={"inputs": "Hi", "parameters": {"max_new_tokens": 1}},
            timeout=DEADLINE_S,
        )

    assert refused == errno.ECONNREFUSED
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/generate", "/generate_stream", "/v1/completions"])
def test_a_client_that_leaves_frees_its_slot(narrow: EngineProcess, path: str) -> None:
    finished = metric(narrow.url, "tgi_request_success")
    body = {**ENDLESS, "prompt": "Hi", "max_tokens": 4000, "stream": path.startswith("/v1"), "temperature": 0}

    with asking(narrow, path, body):
        wait_until(is_running(narrow, 1))
    wait_until(is_running(narrow, 0))
    parameters = {"max_new_tokens": 1}
    after = requests.post(f"{narrow.url}/generate", json={"inputs": "Hi", "parameters": parameters}, timeout=DEADLINE_S)

    # In milliseconds: what was left would have gone on for minutes.
    assert int(after.headers["x-queue-time"]) < 30_000
    assert metric(narrow.url, "tgi_request_success") == finished + 1


def test_a_client_that_leaves_while_it_waits_gives_up_its_place(narrow: EngineProcess) -> None:
    with asking(narrow, "/generate", ENDLESS):
        wait_until(is_running(narrow, 1))
        with asking(narrow, "/generate_stream", ENDLESS):
            wait_until(is_running(narrow, 1, waiting=1))
        wait_until(is_running(narrow, 1, waiting=0))
    wait_until(is_running(narrow, 0))


def test_one_request_too_many_is_overloaded(narrow: EngineProcess) -> None:
    with (
        asking(narrow, "/generate", ENDLESS),
        asking(narrow, "/generate", ENDLESS),
        asking(narrow, "/generate_stream", ENDLESS),
    ):
        wait_until(is_running(narrow, 1, waiting=2))
        whole = requests.post(f"{narrow.url}/generate", json={"inputs": "Hi"}, timeout=DEADLINE_S)
        stream = requests.post(f"{narrow.url}/generate_stream", json={"inputs": "Hi"}, timeout=DEADLINE_S)
    wait_until(is_running(narrow, 0))

    overloaded = {"error": "Model is overloaded", "error_type": "overloaded"}
    assert (whole.status_code, whole.json()) == (429, overloaded)
    assert stream.status_code == 200
    assert json.loads(stream.text.removeprefix("data: ")) == overloaded


def test_more_requests_than_slots_all_get_their_answer() -> None:
    with running_engine("--slots", "2", "--context", "256") as started, requests.Session() as http:
        body = {"inputs": "Hi", "parameters": {"max_new_tokens": 20}}
        alone = http.post(f"{started.url}/generate", json=body, timeout=DEADLINE_S).json()
        with (
            asking(started, "/generate_stream", body) as first,
            asking(started, "/generate_stream", body) as second,
            asking(started, "/generate_stream", body) as third,
        ):
            ends = [_read_to_the_end(one) for one in (first, second, third)]

    assert [b'"index":20' in end for end in ends] == [True] * 3
    assert len(alone["generated_text"]) > 0


def _read_to_the_end(connection: socket.socket, read: bytes = b"") -> bytes:
    while not read.endswith(b"0\r\n\r\n"):
        chunk = connection.recv(65536)
        assert chunk, "the stream broke off"
        read += chunk
    return read


def test_a_refused_large_body_is_answered_before_the_connection_closes(narrow: EngineProcess) -> None:
    answer = requests.post(
        f"{narrow.url}/generate",
        data=b"x" * 10_000_000,
        headers={"Content-Type": "application/json"},
        timeout=DEADLINE_S,
    )

    assert (answer.status_code, answer.text) == (413, "Failed to buffer the request body: length limit exceeded")


def test_sigterm_lets_a_request_end_and_exits_0() -> None:
    # On a busy machine the rest of the answer may take longer than the usual grace.
    with running_engine("--slots", "1", "--context", "512", "--drain", "60") as started:
        with asking(started, "/generate_stream", {"inputs": "Hi", "parameters": {"max_new_tokens": 200}}) as connection:
            begun = connection.recv(65536)
            started.process.send_signal(signal.SIGTERM)
            read = _read_to_the_end(connection, begun)
        code = started.process.wait(timeout=DEADLINE_S)

    assert b'"generated_text":"' in read
    assert code == 0


def test_sigterm_ends_requests_that_outlast_the_grace() -> None:
    with (
        running_engine("--slots", "1", "--context", "4096", "--drain", "0") as started,
        asking(started, "/generate", ENDLESS),
    ):
        wait_until(is_running(started, 1))
        started.process.send_signal(signal.SIGTERM)
        code = started.process.wait(timeout=DEADLINE_S)

    assert code == 0


def test_ctrl_c_before_it_is_ready_exits_130(tmp_path: Path) -> None:
    never_read = tmp_path / "model.gguf"
    os.mkfifo(never_read)
    process = spawn_engine("--model", str(never_read))
    assert process.stdout is not None
    process.stdout.readline()

    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=DEADLINE_S)

    assert (process.returncode, errors) == (130, "")


def test_closed_pipes_do_not_stop_the_engine() -> None:
    process = spawn_engine("--slots", "1", "--context", "256")
    started = read_until_ready(process)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    try:
        refused = requests.post(f"{started.url}/generate", json={"inputs": ""}, timeout=DEADLINE_S)
        answered = requests.post(
            f"{started.url}/generate", json={"inputs": "Hi", "parameters": {"max_new_tokens": 2}}, timeout=DEADLINE_S
        )
        process.terminate()
        code = process.wait(timeout=DEADLINE_S)
    finally:
        process.kill()
        process.wait()

    assert (refused.status_code, answered.status_code, code) == (422, 200, 0)


def test_a_taken_port_is_exit_4(narrow: EngineProcess) -> None:
    done = run_to_exit("--port", str(narrow.port))

    assert done.returncode == 4
    assert done.stderr == (
        f"scout-engine: error: port {narrow.port} on 127.0.0.1 is taken by another process; "
        "stop it or give another --port\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "70000"], "argument --port: 70000 is not between 0 and 65535"),
        (["--port", "x"], "argument --port: 'x' is not a whole number"),
        (["--slots", "0"], "argument --slots: 0 is below 1"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["--context", "8", "--max-input-tokens", "8"], "--max-input-tokens 8 leaves no room to generate"),
    ],
)
def test_a_bad_argument_is_named(arguments: list[str], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        parse_arguments(arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["--port", "0", "--context", "99999999"], "--context 99999999 is more than the"),
        (["--port", "0", "--kv-cache-dtype", "q3"], "--kv-cache-dtype 'q3' is unknown; llama.cpp's cache types are"),
        (["--port", "0", "--host", "192.0.2.1"], "--host '192.0.2.1' cannot be listened on"),
    ],
)
def test_a_bad_argument_is_exit_2(arguments: list[str], message: str) -> None:
    done = run_to_exit(*arguments)

    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_a_missing_model_is_exit_3() -> None:
    done = run_to_exit("--port", "0", "--model", "nowhere/model.gguf")

    assert done.returncode == 3
    assert "model file nowhere/model.gguf does not exist; check the path given to --model" in done.stderr


def test_a_model_that_llama_cpp_refuses_is_exit_3_with_its_reason(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    content = DEMO_MODEL.read_bytes()
    assert content.count(b"llama4.block_count") == 1
    broken.write_bytes(content.replace(b"llama4.block_count", b"llama4.block_xount"))

    done = run_to_exit("--port", "0", "--model", str(broken))

    assert done.returncode == 3
    assert f"llama.cpp cannot load {broken}: " in done.stderr
    assert "llama4.block_count" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_missing_system_library_is_exit_5_with_the_line_that_installs_it(tmp_path: Path) -> None:
    # A module in the place of xllamacpp that fails to import as it does on a machine without libgomp1.
    stand_in = tmp_path / "xllamacpp.py"
    stand_in.write_text(
        "raise ImportError('libgomp.so.1: cannot open shared object file: No such file or directory')\n"
    )

    done = run_to_exit("--port", "0", environment={**os.environ, "PYTHONPATH": str(tmp_path)})

    assert done.returncode == 5
    assert "libgomp.so.1 is missing" in done.stderr
    assert "apt-get install libgomp1" in done.stderr


def test_json_logs_are_json() -> None:
    with running_engine("--slots", "1", "--context", "256", "--log-format", "json") as started:
        requests.post(f"{started.url}/generate", json={"inputs": ""}, timeout=DEADLINE_S)
        started.process.terminate()
        _, log = started.process.communicate(timeout=DEADLINE_S)

    lines = [json.loads(line) for line in log.splitlines()]
    assert lines[0]["level"] == "INFO"
    assert "`inputs` cannot be empty" in lines[0]["message"]


def test_the_inner_servers_key_is_neither_in_the_arguments_nor_in_the_environment(narrow: EngineProcess) -> None:
    if sys.platform != "linux":
        pytest.skip("reads /proc")
    process = Path("/proc") / str(narrow.process.pid)
    ports = _listening_ports(process)
    assert len(ports) == 2

    (inner,) = ports - {narrow.port}
    answer = requests.post(
        f"http://127.0.0.1:{inner}/completion", json={"prompt": "Hi", "n_predict": 1}, timeout=DEADLINE_S
    )

    assert answer.status_code == 401
    assert b"Bearer" not in (process / "cmdline").read_bytes() + (process / "environ").read_bytes()


def _listening_ports(process: Path) -> set[int]:
    """Ports on which `process` listens, from /proc/net/tcp and its open sockets."""
    inodes = set()
    for descriptor in (process / "fd").iterdir():
        # The connection of the last test is being closed meanwhile.
        with suppress(FileNotFoundError):
            inodes.add(str(descriptor.readlink()).removeprefix("socket:[").rstrip("]"))
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return {int(row[1].rsplit(":", 1)[1], 16) for row in rows if row[3] == "0A" and row[9] in inodes}


def test_the_demonstration_model_can_be_served_from_anywhere(tmp_path: Path) -> None:
    copy = tmp_path / "名 with space.gguf"
    shutil.copy(DEMO_MODEL, copy)

    with running_engine("--model", str(copy), "--model-id", "my/model", "--slots", "1", "--context", "128") as started:
        info = requests.get(f"{started.url}/info", timeout=DEADLINE_S).json()

    assert info["model_id"] == "my/model"
    assert info["max_total_tokens"] == 128
