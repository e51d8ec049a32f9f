"""`render compose`: what it writes starts, with every Compose that is here, the containers that `up` starts."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import docker
import pytest
import requests
import yaml
from docker.models.containers import Container

from fakes.command_line import CommandLine
from fakes.container_case import ContainerCase, wait_until
from fakes.container_deployment import Made, container_deployment

pytestmark = pytest.mark.docker

_COMPOSE_S = 200
# Compose's own words on what it started, and a hash that an image's id is part of, where Compose is told its tag.
_OTHER_LABELS = ("com.docker.compose.", "scout.config")
# The host's name is made up, what Compose attaches to is its own business, and a container that is on one network alone
# is on that one, whether that is its mode or not.
_OTHER_FIELDS = {"Hostname", "AttachStdout", "AttachStderr", "NetworkMode"}
# What Compose would take for variables of its own.
_WITH_DOLLARS = ("--set", "engine.environment.NOTE=$5 and $HOME")
# The proxy's folder of the route table is a volume where `up` writes it, and a folder on the host where nobody does.
_ROUTES = "/var/lib/scout"


def programs() -> list[tuple[str, ...]]:
    """Return the Composes of this machine; docker-compose has to be there, the plugin may be."""
    plugin = ("docker", "compose")
    has_plugin = (
        shutil.which("docker")
        and subprocess.run([*plugin, "version"], capture_output=True, check=False).returncode == 0
    )
    return [("docker-compose",), *([plugin] if has_plugin else [])]


def run_compose(program: tuple[str, ...], folder: Path, *arguments: str, **variables: str) -> CompletedProcess[str]:
    return subprocess.run(
        [*program, *arguments],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=_COMPOSE_S,
        check=False,
    )


def compose(program: tuple[str, ...], folder: Path, *arguments: str, **variables: str) -> str:
    result = run_compose(program, folder, *arguments, **variables)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def render(cli: CommandLine, profile: str, name: str, *arguments: str) -> Path:
    """Write the files into a folder of the deployment's name, as the command does without -o."""
    result = cli.run("render", "compose", "--profile", profile, "--name", name, *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    return cli.home / name


def render_case(case: ContainerCase, *arguments: str) -> Path:
    return render(case.cli, str(case.profile), case.name, *arguments)


@pytest.fixture(scope="module")
def made(docker_engine: docker.DockerClient, tgi_image: str, base_image: str) -> Made:
    return Made(client=docker_engine, tgi_image=tgi_image, base_image=base_image)


@pytest.fixture
def case(
    made: Made, demo_weights: Path, tmp_path: Path, deployment_name: str, free_port: int
) -> Iterator[ContainerCase]:
    with container_deployment(made, tmp_path, deployment_name, demo_weights, free_port) as one:
        yield one


def inspected(case: ContainerCase) -> dict[str, dict[str, Any]]:
    return {str(one.name): comparable(one) for one in case.containers()}


def comparable(container: Container) -> dict[str, Any]:
    """Return what the daemon was told of a container, without what is empty and what it made up itself."""
    attributes = container.attrs
    config, host = attributes["Config"], attributes["HostConfig"]
    labels = {key: value for key, value in config["Labels"].items() if not key.startswith(_OTHER_LABELS)}
    mounts = [mount for mount in host["Mounts"] if mount["Target"] != _ROUTES]
    ((network, endpoint),) = attributes["NetworkSettings"]["Networks"].items()
    return {
        **{f"Config/{key}": value for key, value in filled(config).items()},
        **{f"HostConfig/{key}": value for key, value in filled(host).items()},
        "Config/Env": sorted(config["Env"]),
        # The proxy's is built of this checkout, which somebody may be editing between the two starts.
        "Config/Image": attributes["Image"] if labels["scout.role"] == "engine" else None,
        "Config/Labels": labels,
        "HostConfig/Mounts": sorted(map(json.dumps, map(filled, mounts))),
        "Network": network,
        "is known by its name": container.name in endpoint["Aliases"],
    }


def filled(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value and key not in _OTHER_FIELDS}


def answers(case: ContainerCase) -> bool:
    try:
        return case.generate().ok
    except requests.ConnectionError:
        return False


@pytest.mark.parametrize("program", programs(), ids=" ".join)
def test_compose_starts_the_very_containers_of_up(case: ContainerCase, program: tuple[str, ...]) -> None:
    folder = render_case(case, *_WITH_DOLLARS)
    compose(program, folder, "up", "-d")
    wait_until(lambda: answers(case))
    by_compose = inspected(case)
    compose(program, folder, "down")
    assert case.containers() == []
    case.up_works(*_WITH_DOLLARS)

    assert inspected(case) == by_compose


@pytest.mark.variant
def test_status_knows_what_compose_started_and_down_leaves_nothing_of_it(case: ContainerCase) -> None:
    compose(("docker-compose",), render_case(case), "up", "-d")
    wait_until(lambda: answers(case))

    assert case.status()["state"] == "ready"
    # Its route table is a file of Compose's, which an exchange could not write.
    refused = case.up("--replace", "--set", "engine.max_concurrent_requests=64")
    assert refused.returncode == 13
    assert "was started by Docker Compose" in refused.stderr
    assert case.run("down").returncode == 0
    # That nothing is left is what the fixture checks.
    assert case.containers() == []


@pytest.mark.variant
def test_what_compose_starts_needs_the_keys_of_a_folder_that_is_its_owners_alone(case: ContainerCase) -> None:
    alice = made_key(case)
    keys = ("--set", f"proxy.keys.file={case.cli.home / 'keys'}")
    folder = render_case(case, *keys)
    compose(("docker-compose",), folder, "up", "-d")

    wait_until(lambda: answers_with(case, alice))
    assert case.generate().status_code == 401
    assert (folder / "private").stat().st_mode & 0o777 == 0o700
    assert alice not in "".join(path.read_text("utf-8") for path in folder.rglob("*.[jy]*") if path.is_file())
    assert case.status()["proxy"]["upstreams"][0]["observed"] == "serving"
    assert "Already running, unchanged" in case.up_works(*keys).stdout
    bob = made_key(case, "bob")
    assert "its file has to change" in case.up("--replace", *keys).stderr
    render_case(case, *keys, "--force")
    wait_until(lambda: answers_with(case, bob))
    assert case.run("down").returncode == 0


def made_key(case: ContainerCase, name: str = "alice") -> str:
    result = case.cli.run("keys", "new", name, "--file", str(case.cli.home / "keys"))
    assert result.returncode == 0, result.stderr
    return result.stdout.split()[1]


def answers_with(case: ContainerCase, key: str) -> bool:
    body = {"prompt": "Tell me about the sea.", "max_length": 4}
    headers = {"Authorization": f"Bearer {key}"}
    try:
        return requests.post(f"{case.cli.url}/generate", json=body, headers=headers, timeout=30).ok
    except requests.ConnectionError:
        return False


@pytest.mark.parametrize("way", ["nvidia", "nvidia-cdi", "amd"])
@pytest.mark.parametrize("program", programs(), ids=" ".join)
@pytest.mark.variant
def test_compose_accepts_every_way_to_gpus(tmp_path: Path, program: tuple[str, ...], way: str) -> None:
    longest = ("--set", "engine.max_batch_prefill_tokens=8192")
    folder = render(CommandLine(tmp_path, 0), "a100-bf16", "gpus", "--gpus", way, *longest)

    read = yaml.safe_load(compose(program, folder, "config", SCOUT_WEIGHTS="a-commit"))

    engine = read["services"]["engine-0"]
    if way == "amd":
        assert [one if isinstance(one, str) else one["source"] for one in engine["devices"]]
        return
    (devices,) = engine["deploy"]["resources"]["reservations"]["devices"]
    prefix = "nvidia.com/gpu=" if way == "nvidia-cdi" else ""
    assert devices["device_ids"] == [f"{prefix}{number}" for number in range(len(devices["device_ids"]))]


@pytest.mark.parametrize("program", programs(), ids=" ".join)
def test_compose_refuses_a_file_that_was_written_without_weights(tmp_path: Path, program: tuple[str, ...]) -> None:
    folder = render(CommandLine(tmp_path, 0), "a100-4bit", "missing")

    result = run_compose(program, folder, "up", "-d")

    assert result.returncode != 0
    assert "the weights were not here when this file was written" in result.stderr
