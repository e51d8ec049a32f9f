"""A deployment on GPUs that exist in the answers of the drivers' tools alone: measured, kept, and planned with again.

Its Docker daemon has a hook for GPUs that does nothing, and the engine's container the tool that says what is in use.
"""

import io
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from fakes.command_line import CommandLine
from fakes.container_case import ContainerCase, write_profile
from fakes.docker_leftovers import remove_leftovers
from fakes.driver_tools import write_nvidia_smi, write_runtime
from fakes.recorded_models import safetensors
from fakes.second_docker_host import SecondDockerHost, second_docker_host
from fakes.tgi_weights import CONFIG, write_weights
from scout_deploy.proxy_image.context import build_context

# Its daemon is started, given its images and stopped as part of a test.
pytestmark = [pytest.mark.docker, pytest.mark.variant, pytest.mark.timeout(400)]

_NAME, _PORT, _MIB = "test-gpus", 2025, 2**20
# What the played launcher says of its KV cache, for a context of 2048 tokens.
_KV_TOKENS = 16_000
_KV_TOKEN = 2 * 48 * 8 * 128 * 2
_BLOCK = 256
_GPU, _TOTAL_MIB, _USED_MIB, _OTHERS_MIB = "NVIDIA Imaginary 5GB", 5000, 4321, 4
_DOCKERFILE = "FROM {base}\nCOPY nvidia-smi query.csv list.txt /usr/local/bin/\n"


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tool outside: it always tells of a GPU that is free."""
    return write_nvidia_smi(tmp_path_factory.mktemp("tools"), [_OTHERS_MIB], name=_GPU, total_mib=_TOTAL_MIB)


@pytest.fixture(scope="module")
def host(
    docker_engine: docker.DockerClient, tgi_image: str, base_image: str, tools: Path
) -> Iterator[SecondDockerHost]:
    with pytest.MonkeyPatch.context() as patch:
        # Docker has a driver for GPUs where it finds NVIDIA's hook when it starts.
        patch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
        runtime = ("--add-runtime", f"plain={write_runtime(tools)}", "--default-runtime", "plain")
        with second_docker_host(*runtime) as running:
            running.load(docker_engine, (base_image, tgi_image, build_context(base_image).tag))
            yield running


@pytest.fixture(scope="module")
def image(host: SecondDockerHost, tgi_image: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The played TGI with the tool inside, which tells of what its engine uses."""
    folder = write_nvidia_smi(tmp_path_factory.mktemp("inside"), [_USED_MIB], name=_GPU, total_mib=_TOTAL_MIB)
    (folder / "Dockerfile").write_text(_DOCKERFILE.format(base=tgi_image), encoding="utf-8")
    context, tag = io.BytesIO(), "scout-test/tgi-with-tool:1"
    with tarfile.open(fileobj=context, mode="w") as archive:
        archive.add(folder, arcname=".")
    context.seek(0)
    host.client.images.build(fileobj=context, custom_context=True, tag=tag, rm=True)
    return tag


@dataclass(frozen=True, kw_only=True)
class Started:
    """A deployment that runs, and what was planned of it before."""

    case: ContainerCase
    before: dict[str, Any]


@pytest.fixture(scope="module")
def started(
    host: SecondDockerHost, tools: Path, image: str, base_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Started]:
    home = tmp_path_factory.mktemp("gpus")
    weights = with_tensors(write_weights(home / "weights"))
    profile = write_profile(
        home / "gpus.yaml",
        model=f"path: {weights}",
        image=image,
        base_image=base_image,
        port=_PORT,
        hardware="gpu_count: 1",
        more="update: {max_hold_s: 120}\n",
    )
    variables = {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    cli = CommandLine(home, _PORT, host.prefix(host.socket_url), variables)
    case = ContainerCase(cli=cli, name=_NAME, profile=profile, docker=host.client)
    before = plan(case)
    try:
        case.up_works()
        yield Started(case=case, before=before)
    finally:
        if case.containers():
            case.run("down")
        left = remove_leftovers(host.client, _NAME)
    assert left == []


def with_tensors(folder: Path) -> Path:
    """Make a model of it whose KV cache takes as much as Scout's."""
    sizes = {"num_hidden_layers": 48, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 256}
    text = {**CONFIG["text_config"], **sizes, "max_position_embeddings": 131_072}  # type: ignore[dict-item]
    (folder / "config.json").write_text(json.dumps({**CONFIG, "text_config": text}), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(safetensors({"model.embed_tokens.weight": ("BF16", [256, 256])}))
    return folder


def plan(case: ContainerCase, *arguments: str) -> dict[str, Any]:
    result = case.cli.run("plan", "--profile", str(case.profile), "--json", *arguments)
    assert result.stdout, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def engine_of(case: ContainerCase) -> dict[str, Any]:
    (engine,) = (one for one in case.status()["containers"] if one["role"] == "engine")
    assert isinstance(engine, dict)
    return engine


def test_a_start_is_measured_shown_kept_and_corrects_the_next_plan(started: Started) -> None:
    case, before = started.case, started.before
    memory, shown = engine_of(case)["gpu_memory"], case.run("status").stdout
    after, uncorrected = plan(case), plan(case, "--uncorrected")
    dry = case.up("--dry-run", "--set", f"engine.context_length={before['fit']['kv_tokens']}")

    assert before["fit"]["kv_tokens"] > _KV_TOKENS + _BLOCK
    assert memory["gpus"] == [{"index": 0, "used_bytes": _USED_MIB * _MIB}]
    assert memory["kv_tokens"] == _KV_TOKENS
    assert memory["predicted"]["kv_tokens"] >= _KV_TOKENS
    assert "GPU 0: 4.5 GB in use, " in shown
    assert f"KV cache: 16,000 tokens by the engine's own word, {memory['predicted']['kv_tokens']:,} predicted" in shown

    assert uncorrected == before
    assert after["fit"]["kv_tokens"] == pytest.approx(_KV_TOKENS, abs=_BLOCK)
    assert after["correction"]["bytes"] == before["fit"]["each_gpu"]["kv_bytes"] - _KV_TOKENS * _KV_TOKEN
    assert dry.returncode == 5
    assert "of this model" in dry.stdout


def test_the_next_start_is_held_against_the_corrected_plan(started: Started) -> None:
    case = started.case
    first = plan(case)["correction"]

    replaced = case.up("--replace", "--set", "engine.max_concurrent_requests=7")

    assert replaced.returncode == 0, replaced.stdout + replaced.stderr
    assert "more on each GPU, measured on this box on " in replaced.stdout
    engine, second = engine_of(case), plan(case)["correction"]
    predicted = engine["gpu_memory"]["predicted"]
    assert engine["generation"] == 2
    assert engine["gpu_memory"]["kv_tokens"] == _KV_TOKENS
    assert predicted["kv_tokens"] == pytest.approx(_KV_TOKENS, abs=_BLOCK)
    assert predicted["correction_bytes"] == first["bytes"]
    # It teaches the same again, as what it was planned with is no surprise; only the little that others had in use on
    # the GPU before counts as the old engine's this time.
    assert second["bytes"] == pytest.approx(first["bytes"], abs=2 * _OTHERS_MIB * _MIB)
    assert second["starts"] == first["starts"] + 1
