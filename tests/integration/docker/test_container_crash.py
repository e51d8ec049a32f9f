"""Containers that are killed or stopped: what a client sees of it, and who brings them back."""

import os
import signal
from collections.abc import Iterator

import docker
import pytest
import requests

from fakes.container_case import ContainerCase, wait_until
from fakes.container_deployment import Made, container_deployment, engines, load_on, main_process
from fakes.tgi_weights import write_weights
from fakes.this_machine import unused_port

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def case(
    docker_engine: docker.DockerClient, tgi_image: str, base_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ContainerCase]:
    """One deployment for all tests: each finds it serving, and leaves it serving."""
    made = Made(client=docker_engine, tgi_image=tgi_image, base_image=base_image)
    home, port = tmp_path_factory.mktemp("crash"), unused_port()
    weights = write_weights(home / "weights")
    with container_deployment(made, home, f"test-crash-{port}", weights, port) as running:
        running.up_works()
        yield running


def upstreams(case: ContainerCase) -> dict[str, str]:
    return {one["id"]: one["observed"] for one in case.get("/status").json()["upstreams"]}


def restarts(case: ContainerCase, part: str) -> int:
    return int(case.container(part).attrs["RestartCount"])


def kill(case: ContainerCase, part: str) -> None:
    # As the kernel would: what `docker kill` ended is an operator's word, which Docker respects.
    os.kill(main_process(case.container(part)), signal.SIGKILL)


def test_engine_that_is_killed_under_load_costs_no_request_and_comes_back(case: ContainerCase) -> None:
    victim = case.container("engine-1-0")
    assert upstreams(case) == dict.fromkeys(upstreams(case), "serving")

    with load_on(case) as load:
        kill(case, "engine-1-0")
        # How soon it is missed, and whether anybody sees it missing, is a matter of luck.
        wait_until(lambda: victim.logs().count(b"Connected") == 2)
        load.wait_for_more(5)
        wait_until(lambda: upstreams(case)[str(victim.name)] == "serving")

    assert load.failures == []
    victim.reload()
    assert (victim.status, victim.attrs["RestartCount"]) == ("running", 1)
    told = {one["name"]: one["restarts"] for one in case.status()["containers"] if one["role"] == "engine"}
    assert told == {str(one.name): int(one.id == victim.id) for one in engines(case)}
    assert case.status()["state"] == "ready"


@pytest.mark.variant
def test_engines_that_are_all_killed_are_waited_for(case: ContainerCase) -> None:
    for part in ("engine-1-0", "engine-1-1"):
        kill(case, part)

    def is_back() -> bool:
        answer = case.generate()
        assert answer.status_code in {200, 503}, answer.text
        if answer.status_code == requests.codes.unavailable:
            assert int(answer.headers["Retry-After"]) >= 1
        return bool(answer.ok)

    wait_until(is_back)
    wait_until(lambda: set(upstreams(case).values()) == {"serving"})


def test_proxy_that_is_killed_comes_back(case: ContainerCase) -> None:
    before = restarts(case, "proxy")

    kill(case, "proxy")

    # The old one answers for as long as its end takes.
    wait_until(lambda: restarts(case, "proxy") > before)
    wait_until(lambda: answers(case))
    assert case.up_works().stdout.count("Already running, unchanged") == 1


def answers(case: ContainerCase) -> bool:
    try:
        return bool(case.generate().ok)
    except requests.ConnectionError:
        return False


@pytest.mark.variant
def test_engine_that_an_operator_stopped_stays_down_until_up(case: ContainerCase) -> None:
    case.container("engine-1-1").stop(timeout=10)
    wait_until(lambda: case.status()["state"] != "ready")

    with load_on(case) as load:
        case.up_works()

    assert load.failures == []
    assert case.container("engine-1-1").status == "running"
    wait_until(lambda: set(upstreams(case).values()) == {"serving"})
    assert case.status()["state"] == "ready"
