"""A Docker daemon of the tests' own: stopped and started under a deployment, and reached as another machine's."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest

from fakes.container_case import ContainerCase, wait_until
from fakes.container_deployment import Made, container_deployment, ended, engines, wait_for_line
from fakes.second_docker_host import SecondDockerHost, second_docker_host
from fakes.tgi_weights import change_play, write_weights
from scout_deploy.proxy_image.context import build_context

pytestmark = pytest.mark.docker

_GENERATE = ("/generate", "--body", '{"prompt": "Tell me about the sea.", "max_length": 4}')


@pytest.fixture(scope="module")
def host(docker_engine: docker.DockerClient, tgi_image: str, base_image: str) -> Iterator[SecondDockerHost]:
    with second_docker_host() as running:
        # The proxy's image, where an earlier test built it, saves the time of building it again.
        running.load(docker_engine, (base_image, tgi_image, build_context(base_image).tag))
        yield running


@pytest.fixture(scope="module")
def made(host: SecondDockerHost, tgi_image: str, base_image: str) -> Made:
    return Made(client=host.client, tgi_image=tgi_image, base_image=base_image)


@pytest.fixture(scope="module")
def shared(host: SecondDockerHost, made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerCase]:
    home = tmp_path_factory.mktemp("shared")
    weights, prefix = write_weights(home / "weights"), host.prefix(host.socket_url)
    with container_deployment(made, home, "test-shared", weights, 2025, replicas=1, prefix=prefix) as one:
        yield one


@pytest.fixture
def standing(shared: ContainerCase) -> ContainerCase:
    """A deployment that runs, whatever the test before did with it."""
    shared.up_works()
    return shared


def ask(case: ContainerCase, *question: str) -> dict[str, Any]:
    """Ask the proxy from inside its container, which is where its port is open; status 0 for no answer."""
    try:
        told = case.container("proxy").exec_run(["python", "-m", "scout_proxy.ask", *question])
    except docker.errors.APIError:
        # It is not running again yet.
        return {"status": 0}
    if told.exit_code != 0:
        return {"status": 0}
    assert isinstance(told.output, bytes)
    answer: dict[str, Any] = json.loads(told.output)
    return answer


@pytest.mark.variant
def test_up_goes_on_when_its_daemon_is_restarted_meanwhile(
    made: Made, host: SecondDockerHost, tmp_path: Path, demo_weights: Path
) -> None:
    change_play(demo_weights, load_s=2.0)
    prefix = host.prefix(host.socket_url)
    with container_deployment(made, tmp_path, "test-waits", demo_weights, 2026, replicas=1, prefix=prefix) as case:
        process = case.start_up()
        wait_for_line(process, " s  load")

        host.stop()
        host.start()
        status, printed = ended(process)

        assert status == 0, printed
        assert "the Docker daemon" in printed
        assert ask(case, *_GENERATE)["status"] == 200
        assert {one.attrs["HostConfig"]["RestartPolicy"]["Name"] for one in engines(case)} == {"unless-stopped"}
        assert case.status()["state"] == "ready"


def test_deployment_is_there_after_its_daemon_was_stopped_and_started(
    standing: ContainerCase, host: SecondDockerHost
) -> None:
    before = {one.id for one in standing.containers()}

    host.stop()
    host.start()

    wait_until(lambda: ask(standing, *_GENERATE)["status"] == 200)
    assert {one.id for one in standing.containers()} == before
    assert {one.status for one in standing.containers()} == {"running"}
    wait_until(lambda: standing.status()["state"] == "ready")
    assert "Already running, unchanged" in standing.up_works().stdout


def test_daemon_that_is_down_is_named(standing: ContainerCase, host: SecondDockerHost) -> None:
    host.stop()
    try:
        results = [standing.up(), standing.run("status"), standing.run("down")]
    finally:
        host.start()

    for result in results:
        assert host.socket_url in result.stdout + result.stderr
        assert "Traceback" not in result.stderr
    assert [result.returncode for result in results] == [3, 3, 3]


@pytest.mark.variant
def test_chosen_docker_context_is_followed(standing: ContainerCase, host: SecondDockerHost, tmp_path: Path) -> None:
    config = tmp_path / "docker-config"
    variables = {"DOCKER_CONFIG": str(config)}
    for command in (("create", "second", "--docker", f"host={host.socket_url}"), ("use", "second")):
        subprocess.run(
            ["docker", "context", *command],
            env={**standing.cli.environment, **variables},
            check=True,
            capture_output=True,
        )
    by_context = through(standing, (*host.prefix(), "env", f"DOCKER_CONFIG={config}"))

    assert by_context.status()["state"] == "ready"
    assert "Already running, unchanged" in by_context.up_works().stdout


@pytest.mark.variant
def test_deployment_on_another_machine_is_looked_at_and_taken_down_through_its_daemon(
    standing: ContainerCase, host: SecondDockerHost
) -> None:
    remote = through(standing, host.prefix(host.tcp_url))

    told = remote.status()
    printed = remote.run("status").stdout
    down = remote.run("down")

    assert told["state"] == "ready"
    # The port is not asked where the daemon may be another machine's: this came through the daemon.
    assert [one["observed"] for one in told["proxy"]["upstreams"]] == ["serving"]
    assert f"{standing.name}: ready" in printed
    assert down.returncode == 0, down.stderr
    assert standing.containers() == []


def through(case: ContainerCase, prefix: tuple[str, ...]) -> ContainerCase:
    """Return the same deployment, with a command that reaches it in another way."""
    return replace(case, cli=replace(case.cli, prefix=prefix))
