"""Weights from a hub: fetched on this machine or on the Docker host, mounted read-only, and there without the hub."""

import json
import threading
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from subprocess import CompletedProcess, Popen
from typing import Any

import docker
import pytest

from fakes.command_line import TIMEOUT_S
from fakes.container_case import ContainerCase, events_of, write_profile
from fakes.docker_over_tcp import docker_over_tcp
from fakes.hub_server import COMMIT, HubServer
from fakes.safetensors_file import safetensors_file
from fakes.tgi_weights import write_weights
from fakes.this_machine import alone
from scout_deploy.containers.deployment import WEIGHTS_VOLUME

pytestmark = pytest.mark.docker

_MODEL = "team/demo"
_WEIGHTS_STATUS = 16
_TOKEN = "hf_" + "t" * 34
_HEADER_BYTES = 500_000


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the hub has of a model that the played TGI serves, which finds what it runs under a tokenizer's name."""
    folder = write_weights(tmp_path_factory.mktemp("repository"))
    (weights,) = folder.glob("*.gguf")
    files = {name: (folder / name).read_bytes() for name in ("config.json", "tokenizer_config.json")}
    weights_of_the_checkpoint = {"model.safetensors": safetensors_file(4_000_000), "played.model": weights.read_bytes()}
    return files | weights_of_the_checkpoint | {"README.md": b"not needed"}


@pytest.fixture
def profile(tmp_path: Path, tgi_image: str, base_image: str, free_port: int) -> Path:
    return write_profile(
        tmp_path / "hub.yaml", model=f"id: {_MODEL}", image=tgi_image, base_image=base_image, port=free_port
    )


def variables(hub: HubServer, tmp_path: Path) -> dict[str, str]:
    return {"HF_ENDPOINT": hub.endpoint, "HF_HUB_CACHE": str(tmp_path / "cache"), "HF_TOKEN": _TOKEN}


def slow_line(hub: HubServer) -> None:
    """Hold the weights half-way from now on."""
    hub.trouble("model.safetensors").hold_after = 2_000_000


def printed_of(process: Popen[str], hub: HubServer) -> CompletedProcess[str]:
    """Read what a command prints that fetches over a slow line, which goes on once progress was seen."""
    assert process.stdout is not None
    timer = threading.Timer(TIMEOUT_S, process.kill)
    timer.start()
    lines: list[str] = []
    try:
        with process:
            for line in process.stdout:
                lines.append(line)
                if is_half_way(json.loads(line)):
                    hub.release()
            errors = process.communicate()[1]
    finally:
        timer.cancel()
    return CompletedProcess(process.args, process.returncode, "".join(lines), errors)


def is_half_way(event: dict[str, Any]) -> bool:
    return event.get("phase") == "fetch weights" and 0 < (event["percent"] or 0) < 100


def everything_inspected(case: ContainerCase) -> str:
    return json.dumps([one.attrs for one in case.containers()])


def mount_of_weights(case: ContainerCase) -> dict[str, Any]:
    mounts = case.container().attrs["Mounts"]
    (mount,) = (one for one in mounts if one["Destination"].startswith("/weights"))
    assert isinstance(mount, dict)
    return mount


def test_weights_are_fetched_with_progress_and_served_without_the_hub_later(
    case: ContainerCase, repository: dict[str, bytes], tmp_path: Path
) -> None:
    with HubServer() as hub:
        hub.tokens.add(_TOKEN)
        hub.add(_MODEL, repository)
        slow_line(hub)
        first = printed_of(case.start_up("--json", variables=variables(hub, tmp_path)), hub)
        assert first.returncode == 0, first.stdout + first.stderr
        asked = len(hub.downloads_seen("model.safetensors"))
        inspected, mount = everything_inspected(case), mount_of_weights(case)
        answer = case.generate()
        assert case.run("down").returncode == 0

    again = case.up_works(variables=variables(hub, tmp_path))

    assert (answer.status_code, case.generate().status_code) == (200, 200)
    assert any(map(is_half_way, events_of(first))), first.stdout
    assert asked == 1
    assert hub.contents_seen("README.md") == []
    assert (mount["Type"], mount["RW"]) == ("bind", False)
    assert mount["Source"].startswith(str(tmp_path / "cache"))
    assert _TOKEN not in inspected
    assert _TOKEN not in first.stdout + first.stderr + again.stdout
    assert case.get("/status").json()["serving"]["model_id"] == _MODEL


@pytest.mark.parametrize("token", ["", _TOKEN], ids=["without a token", "with one that is not granted"])
@pytest.mark.variant
def test_a_gated_model_names_the_page_where_access_is_asked_for(
    case: ContainerCase, repository: dict[str, bytes], tmp_path: Path, token: str
) -> None:
    with HubServer() as hub:
        hub.tokens.add(_TOKEN)
        hub.add(_MODEL, repository, gated=True)
        result = case.up(variables={**variables(hub, tmp_path), "HF_TOKEN": token})

    assert result.returncode == _WEIGHTS_STATUS, result.stdout + result.stderr
    assert f"{_MODEL} is gated" in result.stderr
    assert f"https://huggingface.co/{_MODEL}" in result.stderr.partition("\nnext: ")[2]
    assert "Traceback" not in result.stderr
    assert [one for one in case.containers() if "engine" in str(one.name)] == []


@pytest.fixture
def remote(docker_engine: docker.DockerClient) -> Iterator[dict[str, str]]:
    """The same daemon as one on another machine; its volume of weights must be nobody's, for it is removed."""
    # Its name is the same for every deployment of a Docker host.
    with alone(WEIGHTS_VOLUME):
        before = [one.name for one in docker_engine.volumes.list() if one.name == WEIGHTS_VOLUME]
        assert before == [], f"a volume '{WEIGHTS_VOLUME}' is on this Docker engine; the test would remove it"
        with docker_over_tcp() as address:
            yield {"DOCKER_HOST": address}
        for left in docker_engine.volumes.list():
            if left.name == WEIGHTS_VOLUME:
                left.remove(force=True)


def gateway(client: docker.DockerClient) -> str:
    """Return the address of this machine that a container on Docker's default network reaches."""
    (settings, *_) = client.networks.get("bridge").attrs["IPAM"]["Config"]
    # An engine that chose the network by itself names no gateway: it is the first address.
    return str(settings.get("Gateway") or ip_network(settings["Subnet"])[1])


def temporary_containers(case: ContainerCase) -> list[str]:
    return [str(one.name) for one in case.containers() if one.labels.get("scout.temporary") == "errand"]


def test_on_another_machine_a_container_fetches_into_a_volume_and_is_removed(
    case: ContainerCase, repository: dict[str, bytes], remote: dict[str, str], tmp_path: Path
) -> None:
    with HubServer(gateway(case.docker)) as hub:
        hub.tokens.add(_TOKEN)
        hub.add(_MODEL, repository)
        environment = variables(hub, tmp_path) | remote
        slow_line(hub)
        pulled = printed_of(
            case.cli.start("pull", "--profile", str(case.profile), "--json", variables=environment), hub
        )
        assert pulled.returncode == 0, pulled.stdout + pulled.stderr
        # The one that fetched is gone; `alone` keeps those of other tests away.
        assert case.docker.containers.list(all=True, filters={"volume": WEIGHTS_VOLUME}, ignore_removed=True) == []
        first = case.up_works("--json", variables=environment)
        asked = len(hub.downloads_seen("model.safetensors"))
        tokens = {one.token for one in hub.contents_seen("config.json")}

    inspected, mount = everything_inspected(case), mount_of_weights(case)
    kept = case.run("down", "--volumes", variables=environment)

    assert any(map(is_half_way, events_of(pulled))), pulled.stdout
    last = events_of(pulled)[-1]
    assert (last["path"], last["host"], last["commit"]) == (f"volume {WEIGHTS_VOLUME}", remote["DOCKER_HOST"], COMMIT)
    assert asked == 1
    assert _TOKEN in tokens
    assert (mount["Type"], mount["Name"], mount["RW"]) == ("volume", WEIGHTS_VOLUME, False)
    assert _TOKEN not in inspected + pulled.stdout + pulled.stderr + first.stdout + first.stderr
    # A plan reads what it has to know of the model; the weights lie on the other machine alone.
    assert [one for one in (tmp_path / "cache").rglob("*") if one.stat().st_size > _HEADER_BYTES] == []
    assert temporary_containers(case) == []
    assert f"Removed the volume '{WEIGHTS_VOLUME}'" in kept.stdout, kept.stdout + kept.stderr
    assert WEIGHTS_VOLUME not in [one.name for one in case.docker.volumes.list()]


@pytest.mark.variant
def test_on_another_machine_the_hubs_refusal_is_said_as_here(
    case: ContainerCase, repository: dict[str, bytes], remote: dict[str, str], tmp_path: Path
) -> None:
    with HubServer(gateway(case.docker)) as hub:
        hub.add(_MODEL, repository, gated=True)
        result = case.up(variables={**variables(hub, tmp_path), **remote, "HF_TOKEN": ""})

    assert result.returncode == _WEIGHTS_STATUS, result.stdout + result.stderr
    assert f"{_MODEL} is gated" in result.stderr
    assert f"https://huggingface.co/{_MODEL}" in result.stderr.partition("\nnext: ")[2]
    assert temporary_containers(case) == []


def test_a_folder_of_this_machine_is_refused_for_another_one(
    case: ContainerCase, remote: dict[str, str], demo_weights: Path
) -> None:
    result = case.up("--set", f"model.path={demo_weights}", variables=remote)

    assert result.returncode == 1
    assert f"{demo_weights} is a directory of this machine, and the Docker host is another one" in result.stderr
    assert "name model/id" in result.stderr
