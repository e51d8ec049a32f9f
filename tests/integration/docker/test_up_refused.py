"""`up` on GPUs that a model does not fit on: refused by the plan, before anything is made or fetched."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import docker
import pytest

from fakes.command_line import CommandLine
from fakes.driver_tools import write_nvidia_smi
from fakes.measured_starts import GB, SETTING, measured_start
from scout_deploy.errors import GpuUnavailableError
from scout_deploy.machine import machine_name
from scout_deploy.memory_history import MemoryHistory

pytestmark = pytest.mark.docker

_STATUS = GpuUnavailableError.exit_code


@pytest.fixture
def cli(tmp_path: Path, free_port: int) -> CommandLine:
    variables = {
        "HF_HUB_CACHE": str(tmp_path / "hub"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        # Whoever asked it would be refused; what is recorded of Scout suffices.
        "HF_ENDPOINT": "http://127.0.0.1:9",
    }
    return CommandLine(tmp_path, free_port, variables=variables)


def h100s(cli: CommandLine, *used_mib: int) -> dict[str, str]:
    """Return the variables of a machine that has these GPUs."""
    return {"PATH": f"{write_nvidia_smi(cli.home / 'bin', used_mib)}{os.pathsep}{os.environ['PATH']}"}


def is_made(client: docker.DockerClient, name: str) -> bool:
    label: dict[str, str | list[str] | bool] = {"label": f"scout.deployment={name}"}
    found = (
        client.containers.list(all=True, filters=label),
        client.networks.list(filters=label),
        client.volumes.list(filters=label),
    )
    return any(found)


def test_a_model_that_does_not_fit_is_refused_before_anything_is_made(
    cli: CommandLine, docker_engine: docker.DockerClient, new_deployment_name: Callable[[], str]
) -> None:
    name = new_deployment_name()
    arguments = ("up", "--profile", "h100-bf16", "--name", name, "--set", "hardware.gpu_count=2")

    refused = cli.run(*arguments, variables=h100s(cli, 4, 4))
    dry = cli.run(*arguments, "--dry-run", variables=h100s(cli, 4, 4))

    assert refused.returncode == _STATUS, refused.stdout + refused.stderr
    assert "the plan says that this cannot work: the weights alone need 110.6 GB on each GPU" in refused.stderr
    assert "next: scout-deploy plan --profile h100-bf16 says what would do; up --force" in refused.stderr
    assert not is_made(docker_engine, name)
    assert not (cli.home / "hub").exists()
    assert dry.returncode == _STATUS
    assert "DOES NOT WORK: the weights alone need 110.6 GB on each GPU" in dry.stdout


@pytest.mark.variant
def test_what_earlier_starts_here_took_can_be_the_reason(
    cli: CommandLine, docker_engine: docker.DockerClient, new_deployment_name: Callable[[], str]
) -> None:
    name = new_deployment_name()
    # With steps of so many tokens, less is left for the cache than was missing from it here.
    profile = ("--profile", "h100-bf16", "--set", "engine.max_batch_prefill_tokens=24000")
    history = MemoryHistory(cli.home / "state/scout-deploy/history/memory.json")
    history.keep([measured_start(5 * GB, setting=SETTING.model_copy(update={"box": machine_name()}))])

    here = h100s(cli, 4, 4, 4, 4)
    refused = cli.run("up", *profile, "--name", name, "--json", variables=here)
    uncorrected = cli.run("plan", *profile, "--uncorrected", variables=here)

    events = [json.loads(line) for line in refused.stdout.splitlines()]
    assert refused.returncode == _STATUS, refused.stdout
    assert "a context of 8,192 tokens needs" in events[-1]["message"]
    assert any("the plan counts 5.0 GB more on each GPU" in event.get("detail", "") for event in events)
    assert not is_made(docker_engine, name)
    assert uncorrected.returncode == 0, uncorrected.stdout
