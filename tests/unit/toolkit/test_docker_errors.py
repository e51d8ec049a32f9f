"""Why no daemon answers, in words; each error is the one that the Docker SDK really raises."""

import gc
import json
import socket
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException

from scout_deploy.errors import DockerUnavailableError
from scout_deploy.runtimes.docker_address import DockerAddress, address_of_environment
from scout_deploy.runtimes.docker_errors import DaemonRefusedError, NameTakenError, NotThereError, unavailable

# docker-py leaves a socket open that it could not connect; it is collected within the test.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


def failure(url: str) -> Exception:
    """Return what the SDK raises where a daemon at this address is asked."""
    client = docker.APIClient(base_url=url, version="1.41", timeout=5)
    try:
        client.ping()
    except (DockerException, OSError) as exc:
        return exc
    finally:
        client.close()
    raise AssertionError(f"{url} answered")


def ask(url: str) -> DockerUnavailableError:
    """Return the explanation of why a daemon at this address does not answer."""
    explained = unavailable(DockerAddress(url=url, source="DOCKER_HOST"), failure(url))
    gc.collect()
    return explained


def test_a_socket_that_is_not_there_means_no_docker(tmp_path: Path) -> None:
    explained = ask(f"unix://{tmp_path}/no.sock")

    assert explained.message == (
        f"no Docker daemon is there: the Docker daemon at unix://{tmp_path}/no.sock (from DOCKER_HOST) does not exist"
    )
    assert explained.is_absent
    assert explained.exit_code == 3


def test_a_socket_where_nobody_listens_does_not_answer(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))

    explained = ask(f"unix://{path}")

    assert f"unix://{path} (from DOCKER_HOST) does not answer" in explained.message
    assert "Connection refused" in explained.message
    assert not explained.is_absent
    assert "systemctl start docker" in str(explained.next_step)


def test_a_host_that_refuses_does_not_answer() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))

        explained = ask(f"tcp://127.0.0.1:{unused.getsockname()[1]}")

    assert "does not answer" in explained.message
    assert not explained.is_absent


@pytest.mark.parametrize(
    ("url", "error", "said", "step"),
    [
        (
            "unix:///var/run/docker.sock",
            PermissionError(13, "Permission denied"),
            "this user may not use the Docker daemon at unix:///var/run/docker.sock (from x): permission denied",
            "usermod -aG docker",
        ),
        (
            "unix:///var/run/docker.sock",
            DockerException("client version 1.22 is too old. Minimum supported API version is 1.24"),
            "is too old: client version 1.22 is too old",
            "Docker",
        ),
        ("ssh://gpu-box", FileNotFoundError(2, "No such file or directory", "ssh"), "does not answer", "its address"),
        ("ssh://gpu-box", OSError("Permission denied (publickey)"), "does not answer", "its address"),
        ("tcp://gpu-box:2375", TimeoutError(), "does not answer: TimeoutError", "its address"),
    ],
)
def test_why_it_does_not_answer(url: str, error: Exception, said: str, step: str) -> None:
    explained = unavailable(DockerAddress(url=url, source="x"), error)

    assert said in explained.message
    assert step in str(explained.next_step)
    assert not explained.is_absent


def test_the_first_cause_counts() -> None:
    error = DockerException("Error while fetching server API version")
    error.__cause__ = PermissionError(13, "Permission denied")

    explained = unavailable(DockerAddress(url="unix:///s", source="x"), error)

    assert explained.message.endswith("permission denied")


def test_what_an_error_hides_on_purpose_is_no_cause() -> None:
    # Below the decoder's error is a StopIteration, whose text is only a number.
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads("")

    explained = unavailable(DockerAddress(url="unix:///s", source="x"), caught.value)

    assert explained.message.endswith("does not answer: Expecting value: line 1 column 1 (char 0)")


def test_refusals_carry_the_daemons_own_words() -> None:
    assert NotThereError("No such container: x").reason == "No such container: x"
    assert issubclass(NameTakenError, DaemonRefusedError)


@pytest.mark.parametrize(
    ("url", "is_local"),
    [
        ("unix:///var/run/docker.sock", True),
        ("http+unix:///run/user/1000/docker.sock", True),
        ("/var/run/docker.sock", True),
        ("ssh://gpu-box", False),
        ("tcp://127.0.0.1:2375", False),
        ("npipe:////./pipe/docker_engine", False),
    ],
)
def test_only_a_unix_socket_proves_that_the_daemon_is_here(url: str, is_local: bool) -> None:
    assert DockerAddress(url=url, source="x").is_local is is_local


def test_docker_host_says_where_the_daemon_is_unless_it_is_empty() -> None:
    assert address_of_environment({"DOCKER_HOST": "ssh://gpu-box"}) == DockerAddress(
        url="ssh://gpu-box", source="DOCKER_HOST"
    )
    assert address_of_environment({"DOCKER_HOST": ""}) is None
    assert address_of_environment({}) is None
