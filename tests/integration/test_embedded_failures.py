"""What clients see while parts of a real deployment are killed."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event

import pytest
import requests

from fakes.command_line import CommandLine, command_line
from scout_deploy.deployment_store import MARK_VARIABLE
from scout_deploy.processes import marked_processes

NOT_LOADED = {"detail": "Model or tokenizer not loaded"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    with command_line(tmp_path_factory.mktemp("failures")) as cli:
        cli.up()
        yield cli


def wait_until(condition: Callable[[], bool], *, within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not so within {within_s} s"
        time.sleep(0.02)


def is_healthy(cli: CommandLine) -> bool:
    try:
        return requests.get(f"{cli.url}/health", timeout=30).status_code == 200
    except requests.ConnectionError:
        return False


def outcome(cli: CommandLine) -> str:
    """Send one request and return how it was answered; an answer that the contract does not allow fails."""
    # What the proxy has kept it would answer without any engine.
    answer = requests.post(
        f"{cli.url}/generate",
        json={"prompt": "A short story", "max_length": 48},
        headers={"Cache-Control": "no-cache"},
        timeout=30,
    )
    body = answer.json()
    if answer.status_code == 200:
        assert body.keys() == {"generated_texts", "parameters"}
        assert len(body["generated_texts"]) == 1
    elif answer.status_code == 503:
        assert body == NOT_LOADED
        assert int(answer.headers["Retry-After"]) >= 1
    else:
        assert answer.status_code == 500
        assert body.keys() == {"detail"}
        assert body["detail"].startswith("Generation failed: ")
    return str(answer.status_code)


def test_an_engine_killed_under_load_never_hangs_a_client_and_comes_back(running: CommandLine) -> None:
    stop = Event()
    loaded = Barrier(5)

    def client() -> Counter[str]:
        seen = Counter([outcome(running)])
        loaded.wait(timeout=60)
        while not stop.is_set():
            seen[outcome(running)] += 1
        return seen

    with ThreadPoolExecutor(4) as clients:
        futures = [clients.submit(client) for _ in range(4)]
        old = running.pid("engine")
        loaded.wait(timeout=60)
        # One answer more of somebody's: all four have sent their next.
        assert outcome(running) == "200"
        assert old is not None
        os.kill(old, signal.SIGKILL)
        # While there is none, all four ask.
        wait_until(lambda: running.pid("engine") not in {None, old})
        wait_until(lambda: is_healthy(running))
        stop.set()
        seen = sum((future.result() for future in futures), Counter[str]())

    assert seen["503"] + seen["500"] > 0
    assert outcome(running) == "200"
    assert running.pid("engine") != old
    assert "the engine was ended by SIGKILL" in running.run("diagnose", "scout").stdout


def test_a_killed_proxy_comes_back(running: CommandLine) -> None:
    old = running.pid("proxy")
    assert old is not None

    os.kill(old, signal.SIGKILL)
    wait_until(lambda: running.pid("proxy") not in {None, old} and is_healthy(running))

    assert outcome(running) == "200"


def test_a_killed_supervisor_leaves_the_service_up_and_down_leaves_nothing(tmp_path: Path) -> None:
    with command_line(tmp_path) as cli:
        cli.up()
        os.kill(cli.status()["status"]["supervisor"]["pid"], signal.SIGKILL)
        wait_until(lambda: cli.status()["state"] == "unsupervised")
        served = outcome(cli)

        result = cli.run("down")

        assert served == "200"
        assert "2 processes had lost their supervisor" in result.stdout
        folder = tmp_path / "state" / "scout-deploy" / "deployments" / "scout"
        assert marked_processes(MARK_VARIABLE, str(folder)) == ()
        assert not folder.exists()
