"""What is wrong before any engine starts: the daemon, the images, the port, the GPUs, the weights."""

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

import docker
import pytest
from docker.models.containers import Container

from fakes.container_case import ContainerCase, events_of

pytestmark = pytest.mark.docker

_DAEMON, _IMAGE, _GPU, _PORT, _MODEL = 3, 4, 5, 6, 10


def refused(
    case: ContainerCase, status: int, *arguments: str, variables: Mapping[str, str] | None = None
) -> tuple[str, str]:
    """Return the error's line and the next step of an `up` that has to end with this status, with no engine left."""
    result = case.up(*arguments, variables=variables)
    assert result.returncode == status, result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    cause, _, step = result.stderr.partition("\nnext: ")
    assert cause.startswith("error: ")
    assert step.strip()
    assert [one for one in case.containers() if "engine" in str(one.name)] == []
    return cause, step


def test_without_docker_every_command_says_so(case: ContainerCase) -> None:
    nowhere = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}

    cause, step = refused(case, _DAEMON, variables=nowhere)
    others = {command: case.run(command, variables=nowhere) for command in ("down", "logs", "diagnose")}
    status = case.cli.run("status", variables=nowhere)

    assert "unix:///nonexistent/docker.sock (from DOCKER_HOST) does not exist" in cause
    assert "install and start Docker" in step
    assert {command: result.returncode for command, result in others.items()} == dict.fromkeys(others, _DAEMON)
    assert (status.returncode, "no Docker daemon is there" in status.stdout) == (0, True)


def test_a_user_without_rights_on_the_socket_is_told_how_to_get_them(
    docker_engine: docker.DockerClient, proxy_image: str
) -> None:
    with command_of_nobody(docker_engine, proxy_image, "up", "--profile", "a100-4bit") as container:
        status = container.wait(timeout=200)["StatusCode"]
        said = container.logs().decode()

    assert status == _DAEMON, said
    assert "this user may not use the Docker daemon at unix:///var/run/docker.sock" in said
    assert "permission denied" in said
    assert "usermod -aG docker" in said
    assert "Traceback" not in said


@contextmanager
def command_of_nobody(client: docker.DockerClient, proxy_image: str, *arguments: str) -> Iterator[Container]:
    """Run the command as a user without rights, in a container because the tests' Python may be root's alone."""
    container = client.containers.run(
        proxy_image,
        list(arguments),
        entrypoint=["python", "-m", "scout_deploy"],
        user="65534",
        environment={"HOME": "/tmp"},
        volumes={"/var/run/docker.sock": {"bind": "/var/run/docker.sock", "mode": "rw"}},
        detach=True,
    )
    try:
        yield container
    finally:
        container.remove(force=True)


@contextmanager
def daemon_that_answers(path: Path, body: bytes, *, status: int = 200) -> Iterator[str]:
    """Answer every request on a socket with these bytes, and give its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: a test's output is its own."""

        def address_string(self) -> str:
            return "a client"

    server = ThreadingUnixStreamServer(str(path), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"unix://{path}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_daemon_that_is_too_old_is_named_with_what_is_needed(case: ContainerCase, tmp_path: Path) -> None:
    old = {"Version": "19.03.15", "ApiVersion": "1.40", "MinAPIVersion": "1.12", "Os": "linux", "Arch": "amd64"}

    with daemon_that_answers(tmp_path / "d.sock", json.dumps(old).encode()) as address:
        cause, step = refused(case, _DAEMON, variables={"DOCKER_HOST": address})

    assert "is too old: it speaks API 1.40" in cause
    assert "20.10 or newer" in step


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"<html>hello</html>", 200), (b"[]", 200), (b"{}", 200), (b"no", 500)],
    ids=["a page", "a list", "nothing in it", "broken"],
)
def test_something_else_on_the_socket_is_no_daemon(
    case: ContainerCase, tmp_path: Path, body: bytes, status: int
) -> None:
    with daemon_that_answers(tmp_path / "d.sock", body, status=status) as address:
        cause, _ = refused(case, _DAEMON, variables={"DOCKER_HOST": address})

    assert address in cause


def test_an_engine_image_that_is_nowhere_is_named(case: ContainerCase) -> None:
    cause, step = refused(case, _IMAGE, "--set", "engine.image=127.0.0.1:9/none:1")

    assert "cannot reach the registry of 127.0.0.1:9/none:1" in cause
    assert "connection refused" in cause
    assert "docker load" in step


def test_a_name_that_no_image_can_have_is_refused(case: ContainerCase) -> None:
    cause, step = refused(case, _IMAGE, "--set", "engine.image=Not/Valid:1")

    assert "'Not/Valid:1' cannot be the name of an image" in cause
    assert "lower case" in step


def test_a_base_image_that_is_nowhere_is_named(case: ContainerCase) -> None:
    cause, step = refused(case, _IMAGE, "--set", "proxy.base_image=127.0.0.1:9/base:1")

    assert "cannot be built on 127.0.0.1:9/base:1" in cause
    assert "proxy.base_image" in step
    assert case.containers() == []


def test_a_port_that_a_program_has_is_refused_and_the_program_is_named(case: ContainerCase) -> None:
    with socket.create_server(("127.0.0.1", case.cli.port)):
        cause, step = refused(case, _PORT)

    assert f"port {case.cli.port} is taken by" in cause
    assert "python" in cause
    assert "another port" in step
    assert case.containers() == []


def test_gpus_are_refused_on_a_machine_without_any(case: ContainerCase) -> None:
    gpus = ("--set", "hardware.cpu_only=false", "--set", "hardware.gpu_count=1")

    cause, step = refused(case, _GPU, *gpus)

    assert "this machine has no GPU" in cause
    assert "doctor" in step
    assert case.containers() == []


def test_weights_that_are_not_there_are_named(case: ContainerCase, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    missing, _ = refused(case, _MODEL, "--set", f"model.path={tmp_path / 'missing'}")
    empty, step = refused(case, _MODEL, "--set", f"model.path={tmp_path / 'empty'}")

    assert f"{tmp_path / 'missing'} does not exist" in missing
    assert f"{tmp_path / 'empty'} has no config.json" in empty
    assert "config.json" in step
    assert case.containers() == []


def test_with_json_a_refusal_is_an_event_too(case: ContainerCase, tmp_path: Path) -> None:
    result = case.up("--json", "--set", f"model.path={tmp_path / 'missing'}")

    assert result.returncode == _MODEL
    (*_, error) = events_of(result)
    assert (error["event"], error["error"], error["exit_code"]) == ("error", "ModelFileError", _MODEL)
    assert result.stderr == ""
