"""What an interrupted command leaves on the Docker host, what is not ours there, and how the next command goes on."""

import socket
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from fakes.container_case import ContainerCase, container_case, write_profile
from fakes.tgi_weights import write_weights
from fakes.this_machine import alone, unused_port
from scout_deploy.containers import labels
from scout_deploy.containers.deployment import WEIGHTS_VOLUME
from scout_deploy.errors import NameConflictError
from scout_deploy.model_facts import ModelFacts
from scout_deploy.progress import Progress, Teller
from scout_deploy.runtimes.container_runtime import ContainerRuntime
from scout_deploy.runtimes.docker_engine import DockerEngine
from scout_deploy.runtimes.errand import Errand, container_for
from scout_deploy.runtimes.remote_weights import VolumeSource
from scout_deploy.xdg import UserDirectories

pytestmark = pytest.mark.docker

_FOR_EVER = ("python", "-c", "import time; time.sleep(600)")


@pytest.fixture
def engine(docker_engine: docker.DockerClient) -> Iterator[DockerEngine]:
    del docker_engine
    engine = DockerEngine.connect({})
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def deployment(
    docker_engine: docker.DockerClient, tgi_image: str, base_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ContainerCase]:
    """A deployment that is up; each test leaves it so."""
    home = tmp_path_factory.mktemp("interrupted")
    port = unused_port()
    profile = write_profile(
        home / "profile.yaml",
        model=f"path: {write_weights(home / 'weights')}",
        image=tgi_image,
        base_image=base_image,
        port=port,
    )
    with container_case(home, f"test-interrupted-{port}", profile, port, docker_engine) as case:
        case.up_works()
        yield case


@pytest.mark.variant
def test_errand_that_was_interrupted_goes_away_with_its_deployment(
    engine: DockerEngine, base_image: str, deployment_name: str, tmp_path: Path
) -> None:
    runtime = ContainerRuntime(engine, UserDirectories(state=tmp_path, config=tmp_path))
    errand = container_for(engine, Errand(deployment=deployment_name, image=base_image, argv=_FOR_EVER))
    # Never left, as where the command was killed meanwhile.
    errand.__enter__()

    assert deployment_name in runtime.names()
    runtime.stop(deployment_name)

    assert runtime.look(deployment_name).is_empty


def test_volume_of_weights_that_somebody_else_made_is_left_alone(
    engine: DockerEngine, deployment: ContainerCase
) -> None:
    with alone(WEIGHTS_VOLUME):
        assert engine.volume_labels(WEIGHTS_VOLUME) is None
        engine.create_volume(WEIGHTS_VOLUME, {})
        try:
            source = VolumeSource(
                deployment=deployment.name,
                connect=lambda: engine,
                image="none",
                model_id="org/model",
                revision="main",
                facts=ModelFacts(),
                token=None,
                environment={},
            )
            shown: list[Progress] = []
            with pytest.raises(NameConflictError, match=WEIGHTS_VOLUME):
                source.provide(Teller(shown.append))

            result = deployment.run("down", "--volumes")
            assert result.returncode == 0, result.stderr
            assert "scout-deploy did not make it" in result.stdout

            assert engine.volume_labels(WEIGHTS_VOLUME) == {}
        finally:
            engine.remove_volume(WEIGHTS_VOLUME)
            deployment.up_works()


@pytest.mark.variant
def test_up_starts_a_proxy_that_was_stopped(deployment: ContainerCase) -> None:
    deployment.container("proxy").stop(timeout=30)

    result = deployment.up_works()

    assert "starting it again" in result.stdout
    assert deployment.generate().status_code == 200


@pytest.mark.parametrize("has_begun", [False, True], ids=["before the new proxy", "before the new proxy's start"])
@pytest.mark.variant
def test_up_ends_an_exchange_of_the_proxy_that_was_killed(
    deployment: ContainerCase, base_image: str, has_begun: bool
) -> None:
    old = deployment.container("proxy")
    old.stop(timeout=30)
    old.rename(f"{old.name}-old")
    if has_begun:
        deployment.docker.containers.create(base_image, name=f"scout-{deployment.name}-proxy", labels=dict(old.labels))

    deployment.up_works()

    proxies = [one for one in deployment.containers() if one.labels[labels.ROLE] == "proxy"]
    assert [(one.id, one.name) for one in proxies] == [(old.id, f"scout-{deployment.name}-proxy")]
    assert deployment.generate().status_code == 200


def test_proxy_that_does_not_work_leaves_the_old_one_serving(deployment: ContainerCase, base_image: str) -> None:
    before = deployment.container("proxy").id

    # It has Python, and none of ours.
    result = deployment.up("--replace", "--set", f"proxy.image={base_image}")

    assert result.returncode == 18, result.stdout + result.stderr
    assert "the old one serves" in result.stderr
    assert deployment.container("proxy").id == before
    assert deployment.generate().status_code == 200
    assert "Already running, unchanged" in deployment.up_works().stdout


@pytest.mark.variant
def test_port_of_somebody_else_is_refused_before_any_engine_is_exchanged(deployment: ContainerCase) -> None:
    before = {one.id for one in deployment.containers()}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        result = deployment.up("--replace", "--set", "engine.context_length=1024", "--port", port)

    assert result.returncode == 6, result.stdout + result.stderr
    assert {one.id for one in deployment.containers()} == before


@pytest.mark.variant
def test_engine_that_was_made_and_never_started_does_not_keep_up_waiting(
    deployment: ContainerCase,
    tgi_image: str,
    tmp_path: Path,
    deployment_name: str,
    free_port: int,
) -> None:
    profile = tmp_path / "profile.yaml"
    profile.write_text(deployment.profile.read_text(encoding="utf-8"), encoding="utf-8")
    with container_case(tmp_path, deployment_name, profile, free_port, deployment.docker) as case:
        case.up_works("--port", str(free_port))
        engine = case.container()
        attributes = engine.attrs
        engine.remove(force=True)
        network = case.docker.networks.get(f"scout-{deployment_name}")
        case.docker.containers.create(
            tgi_image, name=str(engine.name), labels=dict(attributes["Config"]["Labels"]), network=network.name
        )

        result = case.up_works("--port", str(free_port))

        assert "clearing away" in result.stdout
        assert case.generate().status_code == 200


@pytest.mark.variant
def test_down_says_who_keeps_its_network_and_goes_on_once_nobody_does(
    deployment: ContainerCase, base_image: str
) -> None:
    network = deployment.docker.networks.get(f"scout-{deployment.name}")
    name = f"{deployment.name}-guest"
    guest = deployment.docker.containers.run(
        base_image, entrypoint=list(_FOR_EVER), name=name, network=network.name, detach=True
    )
    try:
        refused = deployment.run("down")
    finally:
        guest.remove(force=True)
    ended = deployment.run("down")
    deployment.up_works()

    assert refused.returncode == 1
    assert f"network {network.name}" in refused.stderr
    assert f"scout-deploy down {deployment.name}" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert ended.returncode == 0, ended.stderr
