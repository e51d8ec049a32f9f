"""Which daemon is meant, and what the Docker library says without asking one."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from scout_deploy.errors import DockerUnavailableError
from scout_deploy.runtimes.docker_address import DockerAddress
from scout_deploy.runtimes.docker_engine import DockerEngine
from scout_deploy.runtimes.docker_errors import DaemonRefusedError


@pytest.fixture
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of this user's Docker configuration, with a context `elsewhere` in it that is not the current one."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    meta = tmp_path / "contexts/meta" / hashlib.sha256(b"elsewhere").hexdigest()
    meta.mkdir(parents=True)
    # Nobody listens there.
    address = {"Host": "tcp://127.0.0.1:1", "SkipTLSVerify": False}
    document = {"Name": "elsewhere", "Metadata": {}, "Endpoints": {"docker": address}}
    (meta / "meta.json").write_text(json.dumps(document), encoding="utf-8")
    return tmp_path


def test_context_that_the_environment_names_counts(docker_config: Path) -> None:
    del docker_config
    with pytest.raises(DockerUnavailableError, match=r"tcp://127\.0\.0\.1:1 \(from context 'elsewhere'\)"):
        DockerEngine.connect({"DOCKER_CONTEXT": "elsewhere"})


def test_context_that_nobody_described_is_named(docker_config: Path) -> None:
    del docker_config
    with pytest.raises(DockerUnavailableError, match="'nowhere' of DOCKER_CONTEXT"):
        DockerEngine.connect({"DOCKER_CONTEXT": "nowhere"})


@pytest.fixture
def engine() -> Iterator[DockerEngine]:
    """An engine that nobody has asked anything yet."""
    url = "unix:///nowhere/docker.sock"
    engine = DockerEngine(docker.DockerClient(base_url=url, version="1.41"), DockerAddress(url=url, source="a test"))
    yield engine
    engine.close()


def test_name_that_no_image_can_have_is_not_the_daemons_silence(engine: DockerEngine) -> None:
    with pytest.raises(DaemonRefusedError, match="scheme"):
        list(engine.pull("https://registry.example/engine"))
