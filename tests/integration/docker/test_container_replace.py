"""`up --replace` under a loop of requests, in both modes: what works, what fails, and what was killed half-way."""

import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
import requests

from fakes.command_line import CommandLine
from fakes.container_case import ContainerCase, events_of
from fakes.container_deployment import Made, container_deployment, ended, engines, load_on, wait_for_line
from fakes.tgi_weights import change_play, write_weights
from fakes.this_machine import unused_port

pytestmark = pytest.mark.docker

MODES = ("blue-green", "hold")
_REPLACE_FAILED = 18

Arguments = Callable[[str], tuple[str, ...]]


@pytest.fixture(scope="module")
def made(docker_engine: docker.DockerClient, tgi_image: str, base_image: str) -> Made:
    return Made(client=docker_engine, tgi_image=tgi_image, base_image=base_image)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("replace") / "weights")


@pytest.fixture(scope="module")
def shared(made: Made, tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Iterator[ContainerCase]:
    """One deployment for all tests: each finds it serving, and leaves it serving."""
    port = unused_port()
    with container_deployment(made, tmp_path_factory.mktemp("home"), f"test-replace-{port}", weights, port) as case:
        case.up_works()
        yield case


@pytest.fixture
def case(shared: ContainerCase, weights: Path) -> ContainerCase:
    change_play(weights)
    assert shared.generate().status_code == 200
    return shared


@pytest.fixture
def replace(case: ContainerCase) -> Arguments:
    """Return the arguments of an exchange whose engines differ from those that run."""

    def arguments(mode: str) -> tuple[str, ...]:
        length = 1024 if with_length_that_runs(case)[1].endswith("=2048") else 2048
        return ("--replace", "--set", f"update.mode={mode}", "--set", f"engine.context_length={length}")

    return arguments


@pytest.mark.parametrize("mode", MODES)
def test_engines_are_exchanged_and_no_request_is_lost(case: ContainerCase, replace: Arguments, mode: str) -> None:
    before = {one.id for one in engines(case)}
    proxy = case.container("proxy").id

    with load_on(case) as load:
        printed = case.up_works(*replace(mode), "--json")

    assert load.failures == []
    after = engines(case)
    assert len(after) == 2
    assert not before & {one.id for one in after}
    assert policies(case) == {"unless-stopped"}
    assert case.container("proxy").id == proxy
    phases = [event["phase"] for event in events_of(printed) if event["event"] == "phase"]
    assert ("hold" in phases) is (mode == "hold")
    assert phases.index("warm-up") < phases.index("switch")


@pytest.mark.parametrize("mode", MODES)
def test_new_engines_that_die_leave_the_old_ones_serving(case: ContainerCase, tmp_path: Path, mode: str) -> None:
    before = {one.id: one.attrs["State"]["StartedAt"] for one in engines(case)}
    # Weights of their own, so that the old engines live when they are started again.
    dying = write_weights(tmp_path / "dying", die="oom-warmup")

    with load_on(case) as load:
        result = case.up("--replace", "--set", f"update.mode={mode}", "--set", f"model.path={dying}")

    assert load.failures == []
    assert result.returncode == _REPLACE_FAILED, result.stdout + result.stderr
    assert "no room for a prompt" in result.stderr
    assert "the old engines serve" in result.stderr
    # Whatever would help, it is to be tried as an exchange again.
    assert f" --name {case.name} --replace --set " in result.stderr.partition("next: ")[2]
    after = {one.id: one.attrs["State"]["StartedAt"] for one in engines(case)}
    assert after.keys() == before.keys()
    assert (after == before) is (mode == "blue-green")
    assert {one.status for one in engines(case)} == {"running"}
    assert policies(case) == {"unless-stopped"}
    assert case.status()["state"] == "ready"


@pytest.mark.parametrize(("mode", "presses"), [("blue-green", 2), ("hold", 1), ("hold", 2)])
@pytest.mark.variant
def test_interrupted_exchange_goes_back_to_the_old_engines(
    case: ContainerCase, replace: Arguments, weights: Path, mode: str, presses: int
) -> None:
    before = {one.id for one in engines(case)}
    change_play(weights, die="hang-load")
    with load_on(case) as load:
        process = case.start_up(*replace(mode))
        first = wait_for_line(process, " s  load engine")
        wait_for_line(process, f" s  load engine {int('load engine 0' in first)}")
        # The new engines hang, however late the signal comes; the old ones may be started again.
        change_play(weights)

        process.send_signal(signal.SIGINT)
        if presses == 2:
            wait_for_line(process, "interrupted: going back")
            process.send_signal(signal.SIGINT)
        status, printed = ended(process)

    assert load.failures == []
    assert status == 130, printed
    assert "Traceback" not in printed
    assert {one.id for one in engines(case)} == before
    assert {one.status for one in engines(case)} == {"running"}
    assert case.status()["state"] == "ready"


@pytest.mark.parametrize(("mode", "phase"), [("blue-green", "load"), ("blue-green", "drain"), ("hold", "load")])
@pytest.mark.variant
def test_up_after_a_kill_in_the_middle_finishes_the_exchange(
    case: ContainerCase, replace: Arguments, weights: Path, mode: str, phase: str
) -> None:
    change_play(weights, load_s=0.5)
    arguments = replace(mode)
    process = case.start_up(*arguments)
    try:
        wait_for_line(process, f" s  {phase}")
    finally:
        process.kill()
        process.communicate()

    # Where requests are held, they wait for the next command.
    with load_on(case, is_serving=False) as load:
        case.up_works(*arguments)

    assert load.failures == []
    assert len(engines(case)) == 2
    assert {one.status for one in engines(case)} == {"running"}
    assert policies(case) == {"unless-stopped"}
    assert case.status()["state"] == "ready"


def test_settings_of_the_proxy_alone_leave_the_engines_alone(case: ContainerCase) -> None:
    as_it_is = with_length_that_runs(case)
    case.up_works("--replace", *as_it_is)
    before, proxy = {one.id for one in engines(case)}, case.container("proxy").id
    deadline = (*as_it_is, "--set", "proxy.limits.deadline_s=77")

    case.up_works("--replace", *deadline)
    assert case.container("proxy").id == proxy
    assert case.get("/status").json()["limits"]["deadline_s"] == 77

    # How long Docker waits for a proxy that ends is its container's own.
    case.up_works("--replace", *deadline, "--set", "proxy.limits.drain_s=7")
    assert case.container("proxy").id != proxy
    assert case.get("/status").json()["limits"]["drain_s"] == 7

    assert {one.id for one in engines(case)} == before
    assert case.generate().status_code == 200


@pytest.mark.variant
def test_api_moves_to_another_port(case: ContainerCase, free_port: int) -> None:
    before = {one.id for one in engines(case)}

    printed = case.up_works("--replace", *with_length_that_runs(case), "--port", str(free_port))

    moved = ContainerCase(
        cli=CommandLine(case.cli.home, free_port), name=case.name, profile=case.profile, docker=case.docker
    )
    assert f"http://127.0.0.1:{free_port}" in printed.stdout
    assert moved.generate().status_code == 200
    with pytest.raises(requests.ConnectionError):
        case.generate()
    assert {one.id for one in engines(case)} == before
    case.up_works("--replace", *with_length_that_runs(case))
    assert case.generate().status_code == 200


@pytest.mark.variant
def test_port_that_somebody_has_leaves_the_old_proxy(case: ContainerCase, free_port: int) -> None:
    proxy = case.container("proxy").id

    with socket.create_server(("127.0.0.1", free_port)):
        result = case.up("--replace", *with_length_that_runs(case), "--port", str(free_port))

    assert result.returncode == 6, result.stdout + result.stderr
    assert case.container("proxy").id == proxy
    assert case.generate().status_code == 200


def policies(case: ContainerCase) -> set[str]:
    return {one.attrs["HostConfig"]["RestartPolicy"]["Name"] for one in engines(case)}


def with_length_that_runs(case: ContainerCase) -> tuple[str, str]:
    (length,) = {
        variable.partition("=")[2]
        for one in engines(case)
        for variable in one.attrs["Config"]["Env"]
        if variable.startswith("MAX_TOTAL_TOKENS=")
    }
    return "--set", f"engine.context_length={length}"
