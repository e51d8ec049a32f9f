"""`up --dry-run`: whether what is planned fits, as `up` would say it; nothing is started and nobody is asked."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fakes.driver_tools import write_nvidia_smi
from fakes.gguf_writer import write_tiny_model
from fakes.measured_starts import GB, KV_TOKEN, SETTING, measured_start
from fakes.no_docker import without_docker
from fakes.this_machine import unused_port
from scout_deploy.cli.app import create_app
from scout_deploy.cli.context import kept_memory, process_runtime
from scout_deploy.errors import GpuUnavailableError
from scout_deploy.machine import machine_name
from scout_deploy.processes import memory_bytes

REFUSED = GpuUnavailableError.exit_code


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    # Whoever asked it would be refused.
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for name, value in without_docker(tmp_path).items():
        monkeypatch.setenv(name, value)


def on_h100s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *used_mib: int) -> None:
    tools = write_nvidia_smi(tmp_path / "bin", used_mib)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")


def dry_run(*arguments: str) -> Result:
    return CliRunner().invoke(create_app(), ["up", "--dry-run", *arguments], catch_exceptions=False)


def fit_of(*arguments: str) -> dict[str, object]:
    fit = json.loads(dry_run(*arguments, "--json").stdout)["fit"]
    assert isinstance(fit, dict)
    return fit


def test_without_gpus_it_plans_for_those_that_the_profile_is_for() -> None:
    result = dry_run("--profile", "h100-bf16")

    assert result.exit_code == 0
    assert result.stdout.splitlines()[1] == (
        "FITS: fits on 4 x H100-80GB: 313,919 tokens of KV cache, 38 sequences of 8,192 "
        "(the GPUs that the profile is for)"
    )


def test_what_cannot_work_ends_with_the_status_of_up_and_shows_the_plan_all_the_same() -> None:
    refused = dry_run("--profile", "h100-bf16", "--set", "hardware.gpu_count=2")
    insisted = dry_run("--profile", "h100-bf16", "--set", "hardware.gpu_count=2", "--force")

    assert (refused.exit_code, insisted.exit_code) == (REFUSED, 0)
    assert "DOES NOT WORK: the weights alone need 110.6 GB on each GPU" in refused.stdout
    assert "next: scout-deploy plan --profile h100-bf16 says what would do" in refused.stdout
    assert "next: up --force would start it all the same" in insisted.stdout
    assert "\nscout-engine-1-0\n" in refused.stdout
    assert fit_of("--profile", "h100-bf16", "--set", "hardware.gpu_count=2")["verdict"] == "no"


def test_this_machines_gpus_count_where_there_are_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_h100s(tmp_path, monkeypatch, 4, 4, 60_000, 4)

    four = dry_run("--profile", "h100-bf16")
    two = fit_of("--profile", "h100-8bit")

    assert four.exit_code == REFUSED
    assert "DOES NOT WORK: the profile wants 4 x H100 with 80 GB; of 4 x NVIDIA H100 80GB HBM3" in four.stdout
    assert "GPU 2 has 58.6 GiB of 79.6 GiB in use by other processes" in four.stdout
    assert (two["verdict"], two["gpus_from"]) == ("fits", "the GPUs of this machine")


def test_too_few_gpus_are_refused_with_the_words_of_up_also_where_the_user_insists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_h100s(tmp_path, monkeypatch, 4, 4)

    result = dry_run("--profile", "h100-bf16", "--force")

    assert result.exit_code == REFUSED
    assert "DOES NOT WORK: the profile wants 4 x H100 with 80 GB; this machine has 2 x NVIDIA H100" in result.stdout
    assert fit_of("--profile", "h100-bf16")["verdict"] == "no"


def test_what_was_measured_here_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_h100s(tmp_path, monkeypatch, 4, 4, 4, 4)
    kept_memory().keep([measured_start(5 * GB, setting=SETTING.model_copy(update={"box": machine_name()}))])

    result = dry_run("--profile", "h100-bf16")

    assert "note: the plan counts 5.0 GB more on each GPU, measured on this box on 2026-11-20" in result.stdout
    assert fit_of("--profile", "h100-bf16")["correction"] == {
        "bytes": 5 * GB // KV_TOKEN * KV_TOKEN,
        "starts": 1,
        "of": "these settings",
        "newest": "2026-11-20",
        "left_out": 0,
    }


def test_a_model_that_nothing_is_known_of_stands_in_nobodys_way() -> None:
    changed = ("--profile", "a100-4bit", "--set", "model.id=acme/chat", "--set", "engine.quantization=null")

    result = dry_run(*changed)

    assert result.exit_code == 0, result.stdout
    assert "UNKNOWN: nothing is known of the model" in result.stdout
    assert "next: scout-deploy plan --profile a100-4bit asks the hub" in result.stdout
    assert fit_of(*changed)["verdict"] == "unknown"


def test_a_profile_without_gpus_is_held_against_the_machines_memory(tmp_path: Path) -> None:
    (tmp_path / "cpu.yaml").write_text(
        "model: {id: meta-llama/Llama-3.3-70B-Instruct}\nengine: {kind: tgi, version: 3.3.7, context_length: 16}\n"
        "hardware: {cpu_only: true}\n",
        encoding="utf-8",
    )
    # No machine has nine terabytes.
    too_large = ("--profile", "./cpu.yaml", "--set", "replicas=64")

    refused = dry_run(*too_large)

    assert refused.exit_code == GpuUnavailableError.exit_code
    assert "the weights alone need 141.1 GB, and the engine itself 1.6 GB" in refused.stdout
    assert "up --force starts it all the same" in refused.stdout
    memory = fit_of(*too_large)["memory"]
    assert isinstance(memory, dict)
    assert memory["total_bytes"] == memory_bytes() // 64


def test_the_embedded_engine_is_held_against_the_machines_memory() -> None:
    result = dry_run("--profile", "embedded")

    assert result.exit_code == 0
    assert result.stdout.splitlines()[1].startswith("FITS: needs ")
    assert fit_of("--profile", "embedded")["verdict"] == "fits"


def huge(tmp_path: Path) -> str:
    """A profile of a model whose KV cache no machine holds: 2,048 layers of 1,024 heads at four million tokens."""
    numbers = {"context_length": 2**22, "block_count": 2048, "embedding_length": 2**17, "attention.head_count": 1024}
    write_tiny_model(tmp_path / "huge.gguf", {f"llama4.{name}": number for name, number in numbers.items()})
    path = tmp_path / "huge.yaml"
    path.write_text(
        f"extends: embedded\nmodel: {{path: {tmp_path / 'huge.gguf'}}}\nengine: {{context_length: {2**22}}}\n",
        encoding="utf-8",
    )
    return str(path)


def test_a_dry_run_of_an_embedded_engine_that_does_not_fit_ends_as_the_start_would(tmp_path: Path) -> None:
    refused = dry_run("--profile", huge(tmp_path))

    assert refused.exit_code == REFUSED
    assert refused.stdout.splitlines()[1].startswith("DOES NOT WORK: needs ")
    assert dry_run("--profile", huge(tmp_path), "--force").exit_code == 0


def test_an_embedded_engine_that_does_not_fit_is_not_started(tmp_path: Path) -> None:
    with pytest.raises(GpuUnavailableError, match=r"this cannot work: it needs [0-9,]+ MiB of memory") as refused:
        CliRunner().invoke(
            create_app(), ["up", "--profile", huge(tmp_path), "--port", str(unused_port())], catch_exceptions=False
        )

    assert "up --force starts it all the same" in str(refused.value.next_step)
    assert process_runtime().names() == ()
