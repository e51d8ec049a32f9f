"""What `logs` shows of proxy and engines, through a crash, a restart and a failed start."""

import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

import pytest
from docker.models.containers import Container

from fakes.command_line import TIMEOUT_S
from fakes.container_case import ContainerCase, wait_until, write_profile
from fakes.tgi_weights import change_play

pytestmark = pytest.mark.docker

_INTERRUPTED = 130
_READY = "Connected"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def profile(tmp_path: Path, demo_weights: Path, tgi_image: str, base_image: str, free_port: int) -> Path:
    return write_profile(
        tmp_path / "logged.yaml",
        model=f"path: {demo_weights}",
        image=tgi_image,
        base_image=base_image,
        port=free_port,
        more="replicas: 2\n",
    )


@dataclass
class Following:
    """A command that follows the logs, and what it printed so far."""

    process: Popen[str]
    lines: list[str] = field(default_factory=list)

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def of(self, container: Container) -> list[str]:
        parted = (line.partition(" | ") for line in self.lines)
        return [text for name, _, text in parted if name.strip() == container.name]


@contextmanager
def following(case: ContainerCase, *arguments: str) -> Iterator[Following]:
    process = case.cli.start("logs", case.name, "--follow", *arguments)
    seen = Following(process)
    reader = threading.Thread(target=seen.read)
    reader.start()
    try:
        yield seen
    finally:
        process.kill()
        reader.join()
        process.communicate()


def written(container: Container) -> list[str]:
    """Return what the container wrote, without the colours, which a user's terminal has no use for in a pipe."""
    return _COLOUR.sub("", container.logs().decode()).splitlines()


def crash(container: Container) -> None:
    """Kill its first process from the host: Docker never restarts what `docker kill` ended."""
    container.reload()
    os.kill(container.attrs["State"]["Pid"], signal.SIGKILL)


def test_logs_of_both_replicas_are_followed_through_a_crash_without_a_gap_or_a_repeat(case: ContainerCase) -> None:
    case.up_works()
    engines = [case.container("engine-1-0"), case.container("engine-1-1")]

    with following(case, "--role", "engine", "--tail", "1000") as logs:
        wait_until(lambda: all(logs.of(one) for one in engines))
        crash(engines[0])
        wait_until(lambda: sum(_READY in line for line in written(engines[0])) == 2)
        wait_until(lambda: all(len(logs.of(one)) >= len(written(one)) for one in engines))
        shown = {one.name: logs.of(one) for one in engines}
        logs.process.send_signal(signal.SIGINT)
        status = logs.process.wait(timeout=TIMEOUT_S)
        assert logs.process.stderr is not None
        errors = logs.process.stderr.read()

    assert shown == {one.name: written(one) for one in engines}
    assert status == _INTERRUPTED
    assert "Traceback" not in errors


@pytest.mark.variant
def test_following_ends_with_the_deployment(case: ContainerCase) -> None:
    case.up_works()

    with following(case) as logs:
        wait_until(lambda: len(logs.lines) > 10)
        assert case.run("down").returncode == 0
        status = logs.process.wait(timeout=TIMEOUT_S)

    assert status == 0
    assert any("Terminating webserver" in line for line in logs.lines)


@pytest.mark.variant
def test_logs_are_there_by_role_after_a_failed_start(case: ContainerCase, demo_weights: Path) -> None:
    change_play(demo_weights, die="oom-load")
    assert case.up().returncode == 7
    # The proxy outlives the start that failed, and may be the slower of the two to have started.
    wait_until(lambda: "listening" in case.run("logs", "--role", "proxy").stdout)

    everything = case.run("logs", "--tail", "1000")
    engine = case.run("logs", "--role", "engine", "--tail", "3")
    proxy = case.run("logs", "--role", "proxy")
    supervisor = case.run("logs", "--role", "supervisor")

    assert everything.returncode == engine.returncode == proxy.returncode == 0
    assert "CUDA out of memory" in everything.stdout
    assert "listening" in everything.stdout
    assert len(engine.stdout.splitlines()) == 6
    assert "listening" not in engine.stdout
    assert "listening" in proxy.stdout
    assert "text_generation_launcher" not in proxy.stdout
    assert (supervisor.returncode, "Docker itself looks after containers" in supervisor.stderr) == (2, True)
