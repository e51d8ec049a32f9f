"""The proxy's image, really built and really run as a deployment runs it."""

import io
import tarfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest
import requests
from docker.models.containers import Container

from scout_deploy.containers.deployment import PROXY_USER, ROUTES_FILE, ROUTES_FOLDER
from scout_deploy.proxy_image.context import ProxyImage, build_context
from scout_proxy.route_table import Identity, RouteTable, Serving
from scout_proxy.version import __version__

pytestmark = pytest.mark.docker

DEADLINE_S = 120.0
RENAME = f"import os; os.replace('{ROUTES_FOLDER}/new', '{ROUTES_FOLDER}/{ROUTES_FILE}')"


def build(client: docker.DockerClient, image: ProxyImage) -> None:
    client.images.build(
        fileobj=io.BytesIO(image.context_tar),
        custom_context=True,
        tag=image.tag,
        buildargs=image.build_arguments,
        rm=True,
        forcerm=True,
    )


@pytest.fixture(scope="module")
def slim_base(docker_engine: docker.DockerClient, base_image: str) -> Iterator[str]:
    """A base image that has everything but the embedded engine, as that of a user would."""
    tag = f"scout-test/proxy-base:{base_image.rpartition(':')[2]}"
    dockerfile = f'FROM {base_image}\nRUN ["python", "-m", "pip", "uninstall", "--yes", "xllamacpp"]\n'
    docker_engine.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=tag, rm=True, forcerm=True)
    yield tag
    docker_engine.images.remove(tag)


@pytest.fixture(scope="module")
def image(docker_engine: docker.DockerClient, slim_base: str) -> Iterator[str]:
    """The tag of the proxy's image."""
    planned = build_context(slim_base)
    build(docker_engine, planned)
    yield planned.tag
    docker_engine.images.remove(planned.tag)


@pytest.fixture
def proxy(docker_engine: docker.DockerClient, image: str, deployment_name: str, free_port: int) -> Iterator[Container]:
    """A proxy that runs as a deployment's does, with a route table of no upstreams."""
    volume = docker_engine.volumes.create(deployment_name, labels={"scout.deployment": deployment_name})
    container = docker_engine.containers.create(
        image,
        ["--routes", f"{ROUTES_FOLDER}/{ROUTES_FILE}", "--host", "0.0.0.0"],
        name=deployment_name,
        labels={"scout.deployment": deployment_name},
        ports={"2025/tcp": ("127.0.0.1", free_port)},
        volumes={volume.name: {"bind": ROUTES_FOLDER, "mode": "rw"}},
        tmpfs={"/tmp": ""},
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true"],
    )
    put(container, ROUTES_FILE, table(deployment_name, revision=1))
    container.start()
    yield container
    container.remove(force=True)
    volume.remove()


def table(deployment: str, *, revision: int) -> RouteTable:
    return RouteTable(
        revision=revision,
        deployment=deployment,
        profile="test",
        identity=Identity(name="Test API", model="test"),
        serving=Serving(model_id="test", engine="tgi"),
    )


def put(container: Container, name: str, content: RouteTable) -> None:
    text = content.model_dump_json().encode()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size, entry.uid, entry.gid = len(text), PROXY_USER, PROXY_USER
        tar.addfile(entry, io.BytesIO(text))
    container.put_archive(ROUTES_FOLDER, archive.getvalue())


def ask(port: int, path: str, accepted: Callable[[dict[str, Any]], bool] = bool) -> dict[str, Any]:
    """Ask until the answer is accepted, or fail with what was seen last."""
    deadline, seen = time.monotonic() + DEADLINE_S, "nothing"
    while time.monotonic() < deadline:
        try:
            answer: dict[str, Any] = requests.get(f"http://127.0.0.1:{port}{path}", timeout=30).json()
        except requests.ConnectionError as exc:
            seen = str(exc)
        else:
            if accepted(answer):
                return answer
            seen = str(answer)
        time.sleep(0.05)
    raise AssertionError(f"{path} did not answer as expected within {DEADLINE_S} s; last seen: {seen}")


def run(container: Container, code: str) -> str:
    output = container.exec_run(["python", "-c", code]).output
    assert isinstance(output, bytes)
    return output.decode().strip()


def test_proxy_serves_from_a_read_only_container_without_any_right(proxy: Container, free_port: int) -> None:
    assert ask(free_port, "/")["name"] == "Test API"

    status = dict(line.split(":\t") for line in run(proxy, "print(open('/proc/1/status').read())").splitlines())
    assert status["Uid"].split() == status["Gid"].split() == [str(PROXY_USER)] * 4
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert "Read-only file system" in run(proxy, "open('/opt/scout/new', 'w')")


@pytest.mark.variant
def test_proxys_user_can_replace_the_table_in_a_new_volume(
    proxy: Container, deployment_name: str, free_port: int
) -> None:
    ask(free_port, "/")
    put(proxy, "new", table(deployment_name, revision=2))

    assert run(proxy, RENAME) == ""
    ask(free_port, "/status", lambda status: status["route_table"]["revision"] == 2)


def test_sigterm_ends_the_container_with_0(proxy: Container, free_port: int) -> None:
    ask(free_port, "/")
    proxy.stop(timeout=60)

    assert proxy.wait()["StatusCode"] == 0
    assert b"stopped" in proxy.logs()


@pytest.mark.parametrize("module", ["xllamacpp", "locust", "scout_engine"])
def test_neither_engine_nor_load_test_is_in_it(docker_engine: docker.DockerClient, image: str, module: str) -> None:
    code = f"from importlib.util import find_spec; print(find_spec('{module}'), find_spec('scout_proxy') is None)"

    said = docker_engine.containers.run(image, ["-c", code], entrypoint=["python"], remove=True)

    assert said.split() == [b"None", b"False"]


def test_toolkit_is_in_it_whole(docker_engine: docker.DockerClient, image: str) -> None:
    said = docker_engine.containers.run(
        image, ["profiles", "list"], entrypoint=["scout-deploy"], read_only=True, remove=True
    )

    assert b"a100-4bit" in said


@pytest.mark.variant
def test_image_says_its_version_and_how_it_stops(docker_engine: docker.DockerClient, image: str) -> None:
    config = docker_engine.images.get(image).attrs["Config"]

    assert config["Labels"]["scout.version"] == __version__
    assert (config["User"], config["StopSignal"], config["Cmd"]) == ("65532:65532", "SIGTERM", None)
    assert config["Entrypoint"] == ["python", "-m", "scout_proxy"]


@pytest.mark.variant
def test_proxys_image_can_be_the_base_of_the_next_one(docker_engine: docker.DockerClient, image: str) -> None:
    again = build_context(image)
    build(docker_engine, again)
    try:
        assert docker_engine.images.get(again.tag).attrs["Config"]["User"] == "65532:65532"
    finally:
        docker_engine.images.remove(again.tag)


@pytest.mark.variant
def test_context_without_a_route_table_says_what_is_missing(docker_engine: docker.DockerClient, image: str) -> None:
    with pytest.raises(docker.errors.ContainerError, match=r"(?s)exit status 2.*--routes"):
        docker_engine.containers.run(image, [], remove=True)
