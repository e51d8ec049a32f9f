"""What `status` says of a deployment that starts, serves, differs from its profile, or misses a part."""

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from fakes.command_line import TIMEOUT_S
from fakes.container_case import ContainerCase, wait_until
from fakes.container_deployment import Made, container_deployment
from fakes.tgi_weights import change_play, write_weights
from fakes.this_machine import unused_port

pytestmark = pytest.mark.docker

_PORT, _INTERRUPTED = 6, 130


@pytest.fixture(scope="module")
def shared(
    docker_engine: docker.DockerClient, tgi_image: str, base_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ContainerCase]:
    """One deployment for the tests of what serves: each finds it serving, and leaves it serving."""
    made = Made(client=docker_engine, tgi_image=tgi_image, base_image=base_image)
    home, port = tmp_path_factory.mktemp("status"), unused_port()
    weights = write_weights(home / "weights")
    with container_deployment(made, home, f"test-status-{port}", weights, port, replicas=1) as running:
        running.up_works()
        yield running


@pytest.fixture
def serving(shared: ContainerCase) -> ContainerCase:
    assert shared.generate().status_code == 200
    return shared


def test_a_start_is_watched_from_elsewhere(case: ContainerCase, demo_weights: Path) -> None:
    change_play(demo_weights, load_until="nobody makes it")

    running = case.start_up()
    try:
        wait_until(lambda: has_engine(case) and "load" in [one["phase"] for one in case.status()["containers"]])
        seen = case.status()
        wait_until(lambda: is_shown_loading(case))
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=TIMEOUT_S)
    finally:
        running.kill()

    assert (seen["state"], seen["failure"]) == ("starting", None)
    assert (running.returncode, case.containers()) == (_INTERRUPTED, [])


def has_engine(case: ContainerCase) -> bool:
    return any("engine" in str(one.name) for one in case.containers())


def is_shown_loading(case: ContainerCase) -> bool:
    # The phase is the proxy's word, for which `status` does not wait as long as a busy machine may take.
    shown = case.run("status").stdout
    return f"{case.name}: starting" in shown and bool(re.search(rf"scout-{case.name}-engine-1-0 +load ", shown))


@pytest.mark.variant
def test_a_failed_start_says_its_cause(case: ContainerCase, demo_weights: Path) -> None:
    change_play(demo_weights, die="sigbus")
    assert case.up().returncode == 7

    seen, shown = case.status(), case.run("status").stdout

    (engine,) = (one for one in seen["containers"] if one["role"] == "engine")
    assert (seen["state"], engine["status"], engine["exit_code"], engine["restarts"]) == ("failed", "exited", 1, 0)
    assert seen["failure"]["diagnosis"]["name"] == "small-shared-memory"
    assert "cause     the engine ended with a bus error" in shown
    assert f"scout-deploy diagnose {case.name}" in shown


def test_a_ready_deployment_shows_what_it_is_and_how_its_profile_differs_by_now(serving: ContainerCase) -> None:
    ready = serving.status()

    before = serving.profile.read_text(encoding="utf-8")
    serving.profile.write_text(before.replace("context_length: 2048", "context_length: 1024"), encoding="utf-8")
    try:
        changed, shown = serving.status(), serving.run("status").stdout
    finally:
        serving.profile.write_text(before, encoding="utf-8")

    assert (ready["state"], ready["drift"], ready["failure"]) == ("ready", [], None)
    (engine,) = (one for one in ready["containers"] if one["role"] == "engine")
    assert engine["observed"] == "serving"
    assert engine["memory_bytes"] is None or engine["memory_bytes"] > 2**20
    assert changed["state"] == "ready"
    assert [line for line in changed["drift"] if "engine/context_length" in line and "1024" in line]
    assert "drift " in shown


@pytest.mark.variant
def test_an_engine_that_an_operator_stops_is_missed_and_comes_back_with_him(serving: ContainerCase) -> None:
    serving.container().stop()
    wait_until(lambda: serving.get("/health").status_code == 503)
    stopped, shown, deaths = serving.status(), serving.run("status").stdout, serving.diagnosed()
    serving.container().start()
    wait_until(lambda: serving.generate().status_code == 200)

    assert stopped["state"] == "recovering"
    assert re.search(rf"scout-{serving.name}-engine-1-0 +ended with status 0 ", shown), shown
    assert f"Docker leaves scout-{serving.name}-engine-1-0, which was stopped by hand" in shown
    # What was asked to end did not die.
    assert deaths == []
    assert serving.status()["state"] == "ready"


@pytest.mark.variant
def test_a_deployment_without_its_proxy_is_incomplete_and_up_mends_it(serving: ContainerCase) -> None:
    serving.container("proxy").remove(force=True)
    seen, shown = serving.status(), serving.run("status").stdout
    serving.up_works()

    assert seen["state"] == "incomplete"
    assert f"scout-deploy down {serving.name}" in shown
    assert serving.status()["state"] == "ready"
    assert serving.generate().status_code == 200


@pytest.mark.variant
def test_a_port_that_another_deployment_has_names_it(
    serving: ContainerCase, new_deployment_name: Callable[[], str]
) -> None:
    other = ContainerCase(cli=serving.cli, name=new_deployment_name(), profile=serving.profile, docker=serving.docker)

    result = other.up()

    assert result.returncode == _PORT, result.stdout + result.stderr
    assert f"port {serving.cli.port} is taken by" in result.stderr
    assert f"scout-deploy down {serving.name}" in result.stderr
    assert other.containers() == []
