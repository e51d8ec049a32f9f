"""Locust's own workers with our locustfile: what they measured adds up, and is not lost silently where they are."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from fakes.engine_streams import Stream
from fakes.fake_engine import Behaviour, fake_engine
from fakes.running_proxy import route_table, running_proxy, wait_until
from fakes.this_machine import unused_port

LOCUSTFILE = Path(__file__).parents[3] / "loadtests/locustfile.py"
# What Locust says of a worker that got no processor for three seconds; it may come of a busy machine at any time.
STARVED = "failed to send heartbeat"


@contextmanager
def two_workers(host: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run a master and two workers, with one user each, and leave nothing of them."""
    port = str(unused_port())
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary", "--host", host]
    command += ["--processes", "2", "--master-bind-port", port, "--master-port", port, "-u", "2", "-r", "2", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            for worker in workers_of(process):
                worker.kill()
            process.kill()


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children()
    except psutil.NoSuchProcess:
        return []


def the_rest(process: subprocess.Popen[str]) -> str:
    _, said = process.communicate(timeout=100)
    return said


def test_users_of_two_workers_ask_through_the_proxy_and_every_request_is_counted(tmp_path: Path) -> None:
    data = tmp_path / "mine.jsonl"
    data.write_text('{"prompt": "Tell me about the sea.", "max_length": 9}\n', encoding="utf-8")
    options = ("--stop-timeout", "30", "--data", str(data), "StreamedUser", "ChatUser")
    behaviour = Behaviour(delay_s=0.05, stream=Stream(tokens=(" a", " b", " c", " d"), delay_s=0.005))
    with fake_engine(behaviour) as engine, running_proxy(tmp_path / "routes.json", route_table(engine.url)) as proxy:
        proxy.wait_for("active")
        # More time where a busy machine had none for the users.
        for run_s in (2, 8, 16):
            engine.seen.generations.clear()
            with two_workers(proxy.url, "-t", f"{run_s}s", *options) as process:
                said = the_rest(process)
            asked = list(map(str, engine.seen.generations))
            if STARVED not in said and len(asked) > 2:
                break

    assert process.returncode == 0, said
    own, of_tokens = said.split("Token metrics")
    rows = {name: row.split() for name, row in re.findall(r"^(chat|streamed|all) +(.*)", of_tokens, re.MULTILINE)}
    assert (int(rows["all"][0]), rows["all"][1]) == (len(asked), "0")
    # Each user has a class of its own; on a busy machine one of them may have had no turn.
    kinds = [kind for kind in ("chat", "streamed") if kind in rows]
    assert sum(int(rows[kind][0]) for kind in kinds) == len(asked)
    assert all("Tell me about the sea." in one for one in asked)
    # Nothing comes sooner than it was generated; a busy machine may be late.
    for kind in kinds:
        assert 49 <= float(rows[kind][2]) < 5000
        assert 4 <= float(rows[kind][4]) < 5000
        assert re.search(rf"TTFT +{kind} ", own)
    assert "error:" not in said


def test_a_run_whose_workers_are_all_gone_ends_and_says_so(tmp_path: Path) -> None:
    behaviour = Behaviour(stream=Stream(delay_s=0.1))
    with fake_engine(behaviour) as engine, running_proxy(tmp_path / "routes.json", route_table(engine.url)) as proxy:
        proxy.wait_for("active")
        with two_workers(proxy.url, "StreamedUser") as process:
            wait_until(lambda: len(engine.seen.generations) > 2, "both workers ask", deadline_s=90)
            for worker in workers_of(process):
                worker.kill()
            said = the_rest(process)

    assert process.returncode == 3, said
    assert re.search(r"\nerror: both workers were gone after [\d.]+ s of load, which ended it: what was ", said)
    assert "\nnext: see the workers' own output; " in said
    assert "Traceback" not in said
