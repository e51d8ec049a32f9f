"""The parts that the Docker tests are made of do what the real ones do."""

from pathlib import Path
from typing import Any

import docker
import pytest

from fakes.docker_leftovers import DEPLOYMENT_LABEL, remove_leftovers
from fakes.tgi_container import tgi_container
from fakes.tgi_weights import change_play

pytestmark = pytest.mark.docker

START_UP = (
    "Starting check and download process for /weights",
    "Successfully downloaded weights for /weights",
    "Starting shard rank=0",
    "Waiting for shard to be ready... rank=0",
    "Shard ready in ",
    "Starting Webserver",
    "Warming up model",
    "Setting max batch total tokens to ",
    "Connected",
)


def test_base_image_runs_python_with_our_dependencies_as_any_user(
    docker_engine: docker.DockerClient, base_image: str
) -> None:
    said = docker_engine.containers.run(
        base_image,
        ["python", "-c", "import pip, ssl, aiohttp, fastapi, xllamacpp; print('imported')"],
        user="65532",
        read_only=True,
        remove=True,
    )

    assert said == b"imported\n"


def test_base_image_lacks_our_own_package(docker_engine: docker.DockerClient, base_image: str) -> None:
    said = docker_engine.containers.run(
        base_image,
        ["python", "-c", "import importlib.util as u; print(u.find_spec('scout_proxy'), u.find_spec('scout_deploy'))"],
        remove=True,
    )

    assert said == b"None None\n"


@pytest.mark.variant
def test_played_tgi_says_the_launchers_lines_in_their_order(tgi_image: str, demo_weights: Path) -> None:
    change_play(demo_weights, load_s=0.3, waiting_s=0.1)

    with tgi_container(tgi_image, demo_weights) as tgi:
        tgi.wait_until_ready()
        lines = tgi.lines()

    places = [next(index for index, line in enumerate(lines) if words in line) for words in START_UP]
    assert places == sorted(places)


@pytest.mark.variant
def test_played_tgi_answers_info_and_generate(tgi_image: str, demo_weights: Path) -> None:
    with tgi_container(tgi_image, demo_weights, MAX_INPUT_TOKENS="256", MAX_CONCURRENT_REQUESTS="7") as tgi:
        tgi.wait_until_ready()
        info = tgi.get("/info").json()
        answer = tgi.generate("Tell me about the sea.")

    assert (info["model_id"], info["max_total_tokens"], info["max_input_tokens"]) == ("/weights", 512, 256)
    assert info["max_concurrent_requests"] == 7
    assert answer.json()["generated_text"]


@pytest.mark.variant
def test_played_tgi_runs_without_rights_and_answers_from_inside(tgi_image: str, demo_weights: Path) -> None:
    hardened: dict[str, Any] = {
        "user": "65532",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
    }

    with tgi_container(tgi_image, demo_weights, options=hardened) as tgi:
        tgi.wait_until_ready()
        program = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:80/health').status)"
        code, said = tgi.container.exec_run(["python3", "-c", program])

    assert (code, said) == (0, b"200\n")


@pytest.mark.variant
def test_played_tgi_drains_and_ends_well_when_it_is_stopped(tgi_image: str, demo_weights: Path) -> None:
    with tgi_container(tgi_image, demo_weights) as tgi:
        tgi.wait_until_ready()
        tgi.container.stop(timeout=60)

        assert tgi.end()["ExitCode"] == 0
        assert tgi.says("webserver terminated")


@pytest.mark.variant
def test_played_tgi_ends_well_when_it_is_stopped_while_it_loads(tgi_image: str, demo_weights: Path) -> None:
    change_play(demo_weights, die="hang-load")

    with tgi_container(tgi_image, demo_weights) as tgi:
        tgi.wait_for_line("Starting shard")
        tgi.container.stop(timeout=60)

        assert tgi.end()["ExitCode"] == 0


def test_what_a_deployment_left_is_found_and_removed(
    docker_engine: docker.DockerClient, base_image: str, deployment_name: str
) -> None:
    name = deployment_name
    labels = {DEPLOYMENT_LABEL: name}
    docker_engine.containers.create(base_image, name=f"{name}-left", labels=labels)
    docker_engine.networks.create(f"{name}-net", labels=labels)
    docker_engine.volumes.create(f"{name}-volume", labels=labels)

    assert remove_leftovers(docker_engine, name) == [
        f"container {name}-left (created)",
        f"network {name}-net",
        f"volume {name}-volume",
    ]
    assert remove_leftovers(docker_engine, name) == []
