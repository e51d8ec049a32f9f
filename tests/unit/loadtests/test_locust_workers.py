"""Locust's own workers with our locustfile: what they measured adds up, and is not lost silently where they are."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from fakes.engine_streams import Stream
from fakes.fake_engine import Behaviour, fake_engine
from fakes.running_proxy import route_table, running_proxy, wait_until
from fakes.this_machine import unused_port

LOCUSTFILE = Path(__file__).parents[3] / "loadtests/locustfile.py"
# What Locust says of a worker that got no processor for three seconds; it may come of a busy machine at any time.
STARVED = "failed to send heartbeat"


def start(host: str, *options: str) -> subprocess.Popen[str]:
    """Start a master and two workers, with one user each."""
    port = str(unused_port())
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary", "--host", host]
    command += ["--processes", "2", "--master-bind-port", port, "--master-port", port, "-u", "2", "-r", "2", *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def the_rest(process: subprocess.Popen[str]) -> str:
    _, said = process.communicate(timeout=100)
    return said


def test_two_workers_count_every_request_that_they_sent_through_the_proxy(tmp_path: Path) -> None:
    behaviour = Behaviour(delay_s=0.05, stream=Stream(tokens=(" a", " b", " c", " d"), delay_s=0.005))
    with fake_engine(behaviour) as engine, running_proxy(tmp_path / "routes.json", route_table(engine.url)) as proxy:
        proxy.wait_for("active")
        for _ in range(3):
            before = len(engine.seen.generations)
            process = start(proxy.url, "-t", "2s", "--stop-timeout", "5", "StreamedUser")
            said = the_rest(process)
            asked = len(engine.seen.generations) - before
            if STARVED not in said:
                break

    assert process.returncode == 0, said
    (of_all,) = re.findall(r"^all +(.*)", said, re.MULTILINE)
    requests, failed, ttft_p50, _, tpot_p50 = of_all.split()[:5]
    assert (int(requests), failed) == (asked, "0")
    # One user alone would have got fewer answers: each takes 65 ms and more.
    assert asked > 2
    assert 49 <= float(ttft_p50) < 1000
    assert 4 <= float(tpot_p50) < 500
    assert "error:" not in said


def test_a_run_whose_workers_are_all_gone_ends_and_says_so(tmp_path: Path) -> None:
    behaviour = Behaviour(stream=Stream(delay_s=0.1))
    with fake_engine(behaviour) as engine, running_proxy(tmp_path / "routes.json", route_table(engine.url)) as proxy:
        proxy.wait_for("active")
        process = start(proxy.url, "StreamedUser")
        wait_until(lambda: len(engine.seen.generations) > 2, "both workers ask", deadline_s=60)
        for worker in psutil.Process(process.pid).children():
            worker.send_signal(signal.SIGKILL)
        said = the_rest(process)

    assert process.returncode == 3, said
    assert re.search(r"\nerror: both workers were gone after [\d.]+ s of load, which ended it: what was ", said)
    assert "\nnext: see the workers' own output; " in said
    assert "Traceback" not in said
