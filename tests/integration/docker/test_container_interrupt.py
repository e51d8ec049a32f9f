"""`up` that is interrupted, at each of its phases: what is taken back, what goes on, and that `up` again works."""

import io
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from fakes.container_case import ContainerCase, wait_until
from fakes.container_deployment import Made, container_deployment, ended, engines, wait_for_line
from fakes.docker_leftovers import DEPLOYMENT_LABEL
from fakes.tgi_weights import change_play

pytestmark = pytest.mark.docker

_INTERRUPTED = 130


@pytest.fixture
def made(docker_engine: docker.DockerClient, tgi_image: str, base_image: str) -> Made:
    return Made(client=docker_engine, tgi_image=tgi_image, base_image=base_image)


@pytest.fixture
def case(
    made: Made, tmp_path: Path, demo_weights: Path, deployment_name: str, free_port: int
) -> Iterator[ContainerCase]:
    with container_deployment(made, tmp_path, deployment_name, demo_weights, free_port, replicas=1) as one:
        yield one


def left(case: ContainerCase) -> list[str]:
    """Name everything of the deployment that is on the Docker host."""
    filters: dict[str, Any] = {"label": f"{DEPLOYMENT_LABEL}={case.name}"}
    return [
        *(str(one.name) for one in case.containers()),
        *(str(one.name) for one in case.docker.networks.list(filters=filters)),
        *(str(one.name) for one in case.docker.volumes.list(filters=filters)),
    ]


@pytest.mark.parametrize("phase", ["start proxy", "start 1", "load", "warm-up"])
@pytest.mark.variant
def test_interrupted_up_leaves_nothing(case: ContainerCase, demo_weights: Path, phase: str) -> None:
    # It never gets ready, however late the signal comes.
    change_play(demo_weights, die="hang-warmup", load_s=1.0)
    process = case.start_up()
    wait_for_line(process, f" s  {phase}")

    process.send_signal(signal.SIGINT)
    status, printed = ended(process)

    assert status == _INTERRUPTED, printed
    assert "interrupted" in printed
    assert "Traceback" not in printed
    assert left(case) == []


def test_cancelled_up_leaves_nothing_and_works_again(case: ContainerCase, demo_weights: Path) -> None:
    change_play(demo_weights, die="hang-load")
    process = case.start_up()
    wait_for_line(process, " s  load")

    process.terminate()
    status, printed = ended(process)

    assert status == _INTERRUPTED, printed
    assert "Traceback" not in printed
    assert left(case) == []
    change_play(demo_weights)
    again = case.up_works()
    assert "an earlier start" not in again.stdout
    assert case.generate().status_code == 200


@pytest.mark.variant
def test_second_ctrl_c_takes_back_as_much(case: ContainerCase, demo_weights: Path) -> None:
    change_play(demo_weights, die="hang-load")
    process = case.start_up()
    wait_for_line(process, " s  load")

    process.send_signal(signal.SIGINT)
    wait_for_line(process, "interrupted: taking the deployment down again")
    process.send_signal(signal.SIGINT)
    status, printed = ended(process)

    assert status == _INTERRUPTED, printed
    assert "Traceback" not in printed
    assert left(case) == []


@pytest.mark.variant
def test_interrupted_build_leaves_nothing_and_works_again(
    case: ContainerCase, new_base: str, demo_weights: Path
) -> None:
    change_play(demo_weights, die="hang-load")
    process = case.start_up("--set", f"proxy.base_image={new_base}")
    wait_for_line(process, " s  build proxy image")

    process.send_signal(signal.SIGINT)
    status, printed = ended(process)

    assert status == _INTERRUPTED, printed
    assert "Traceback" not in printed
    assert left(case) == []
    change_play(demo_weights)
    case.up_works("--set", f"proxy.base_image={new_base}")
    assert case.generate().status_code == 200
    image = case.container("proxy").image
    assert case.run("down").returncode == 0
    assert image is not None
    image.remove(force=True)


@pytest.fixture
def new_base(docker_engine: docker.DockerClient, base_image: str, deployment_name: str) -> Iterator[str]:
    """A base image that no proxy's image was built on yet."""
    tag = f"scout-test/new-base:{deployment_name}"
    dockerfile = f"FROM {base_image}\nLABEL only.for={deployment_name}\n"
    docker_engine.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=tag, rm=True, forcerm=True)
    yield tag
    docker_engine.images.remove(tag, force=True)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL], ids=["closed terminal", "SIGKILL"])
@pytest.mark.variant
def test_engines_go_on_without_their_up_and_the_next_one_watches_them(
    case: ContainerCase, demo_weights: Path, number: signal.Signals
) -> None:
    change_play(demo_weights, load_s=3.0)
    process = case.start_up()
    wait_for_line(process, " s  load")

    process.send_signal(number)
    assert ended(process)[0] == -number
    before = {one.id for one in case.containers()}
    assert {one.status for one in engines(case)} == {"running"}
    assert case.status()["state"] == "starting"
    printed = case.up_works()

    assert "warm-up" in printed.stdout
    assert {one.id for one in case.containers()} == before
    assert {one.attrs["HostConfig"]["RestartPolicy"]["Name"] for one in engines(case)} == {"unless-stopped"}
    assert case.generate().status_code == 200
    wait_until(lambda: case.status()["state"] == "ready")


@pytest.mark.parametrize("phase", ["start proxy", "start 1"])
@pytest.mark.variant
def test_what_a_killed_up_left_half_made_is_cleared_and_made_anew(
    case: ContainerCase, demo_weights: Path, phase: str
) -> None:
    change_play(demo_weights, load_s=0.5)
    process = case.start_up()
    wait_for_line(process, f" s  {phase}")
    process.kill()
    process.communicate()

    case.up_works()

    assert len(case.containers()) == 2
    assert case.generate().status_code == 200
