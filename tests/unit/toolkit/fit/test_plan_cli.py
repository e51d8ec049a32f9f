"""`scout-deploy plan`, as a user runs it."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fakes.driver_tools import write_nvidia_smi
from fakes.measured_starts import GB, KV_TOKEN, NOON_S, SETTING, measured_start
from scout_deploy.cli.app import create_app
from scout_deploy.cli.context import kept_memory
from scout_deploy.cli.embedded_view import EmbeddedPlan
from scout_deploy.embedded_plan import measured_start as measured_engine
from scout_deploy.embedded_plan import memory_of_command, memory_of_file, start_of_command
from scout_deploy.errors import GpuUnavailableError, ProfileError
from scout_deploy.fit.measured_start import MeasuredStart
from scout_deploy.gpus.gpu import Gpu
from scout_deploy.gpus.inventory import Inventory
from scout_deploy.machine import machine_name
from scout_deploy.model_file import demonstration_model
from scout_deploy.plan_gpus import gpus_here
from scout_deploy.plan_machine import PlanMachine
from scout_deploy.processes import ProcessIdentity, memory_bytes
from scout_deploy.profile.engine import Hardware
from scout_proxy.version import __version__

GIB, MIB = 2**30, 2**20


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))


def plan(*arguments: str) -> Result:
    return CliRunner().invoke(create_app(), ["plan", *arguments], catch_exceptions=False)


def test_the_verdict_comes_first() -> None:
    result = plan("--profile", "h100-bf16", "--gpus", "4xH100-80GB")

    assert result.exit_code == 0
    first, *_ = result.stdout.splitlines()
    assert first.startswith("FITS: h100-bf16: fits on 4 x H100-80GB: 313,919 tokens of KV cache, 38 sequences of 8,192")
    assert "weights             57.2  ####" in result.stdout


def test_a_refusal_says_what_would_do_and_ends_with_a_status_of_its_own() -> None:
    result = plan("--profile", "h100-bf16", "--gpus", "2xH100-80GB")

    assert result.exit_code == GpuUnavailableError.exit_code
    assert result.stdout.startswith("DOES NOT WORK: h100-bf16: the weights alone need 110.6 GB on each GPU")
    assert "next: 4 x H100-80GB would do (--set hardware.gpu_count=4)" in result.stdout
    other = "--set hardware.gpu_count=2 --set hardware.gpu_kind=H200 --set hardware.gpu_memory_gb=141"
    assert f"next: 2 x H200-141GB would do ({other})" in result.stdout
    assert "next: on 2 x H100-80GB works the profile 'h100-8bit'" in result.stdout


def test_programs_get_every_number() -> None:
    document = json.loads(plan("--profile", "a100-4bit", "--gpus", "1xA100-80GB", "--json").stdout)

    each = document["fit"]["each_gpu"]
    parts = ("held_bytes", "context_bytes", "weights_bytes", "step_bytes", "kv_bytes", "reserve_bytes")
    assert document["verdict"] == "fits"
    assert sum(each[part] for part in parts) == each["total_bytes"]
    assert document["fit"]["kv_tokens"] == each["kv_bytes"] // each["kv_token_bytes"]
    assert any("nobody reports Llama 4" in remark for remark in document["remarks"])


def test_the_shipped_profiles_are_ranked_for_a_box() -> None:
    document = json.loads(plan("--all", "--gpus", "2xH100-80GB", "--json").stdout)

    verdicts = [(one["profile"], one["verdict"]) for one in document["plans"]]
    assert verdicts[0] == ("h100-8bit", "fits")
    assert ("h100-bf16", "no") in verdicts[-4:]
    lines = plan("--all", "--gpus", "2xH100-80GB").stdout.splitlines()
    assert lines[1].split()[:2] == ["h100-8bit", "fits"]


def test_a_context_can_be_tried() -> None:
    result = plan("--profile", "h100-bf16", "--gpus", "4xH100-80GB", "--context", "16384")

    assert result.exit_code == GpuUnavailableError.exit_code
    assert "next: --set engine.context_length=8192 would fit" in result.stdout


def test_a_context_beyond_the_limits_and_too_little_memory_are_told_one_after_the_other() -> None:
    result = plan("--profile", "h100-bf16", "--gpus", "2xH100-80GB", "--context", "9000")

    first, second, *_ = result.stdout.splitlines()
    assert "a context of 9,000 tokens is beyond the 8,192" in first
    assert second == "next: plan again with --context 8192: memory is short too"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "either --profile NAME or --all"),
        (("--all", "--profile", "a100-4bit"), "either --profile NAME or --all"),
        (("--profile", "a100-4bit", "--gpus", "0xH100-80GB"), "--gpus: got '0xH100-80GB'"),
        (("--profile", "a100-4bit", "--gpus", "H100-80GB,L4"), "of one kind.*and plan for each kind alone"),
        (("--profile", "a100-4bit", "--gpus", "H100-80GB", "--set", "replicas=2"), "replicas: got 2"),
        (("--profile", "embedded", "--context", "8193"), "was made for at most 8192"),
    ],
)
def test_bad_input_is_explained(arguments: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(ProfileError, match=complaint):
        plan(*arguments)


def on_cpu(tmp_path: Path, *arguments: str) -> Result:
    profile = tmp_path / "cpu.yaml"
    profile.write_text(
        "model: {id: Qwen/Qwen2.5-1.5B-Instruct}\nengine: {kind: tgi, version: 3.3.7, context_length: 512}\n"
        "hardware: {cpu_only: true}\n",
        encoding="utf-8",
    )
    return plan("--profile", str(profile), *arguments)


def test_tgi_on_a_cpu_is_planned_by_the_machines_memory(tmp_path: Path) -> None:
    document = json.loads(on_cpu(tmp_path, "--json").stdout)

    each, memory = document["fit"]["each_gpu"], document["memory"]
    parts = ("held_bytes", "context_bytes", "weights_bytes", "step_bytes", "kv_bytes", "reserve_bytes")
    assert document["gpus"] == []
    assert memory["total_bytes"] == memory_bytes()
    assert sum(each[part] for part in parts) == each["total_bytes"] == memory["total_bytes"]
    assert document["fit"]["kv_tokens"] % 64 == 0
    assert any("95 % of the memory that is free" in remark for remark in document["remarks"])


def test_what_no_memory_holds_says_how_much_would_do(tmp_path: Path) -> None:
    result = on_cpu(tmp_path, "--set", "model.id=meta-llama/Llama-3.3-70B-Instruct", "--set", "replicas=64")

    assert result.exit_code == GpuUnavailableError.exit_code
    assert "the weights alone need 141.1 GB, and the engine itself 1.6 GB" in result.stdout
    assert "next: a machine with about 14" in result.stdout
    assert "embedded" in result.stdout
    assert "would do (--set hardware.gpu_count" not in result.stdout


def test_gpus_named_for_a_profile_that_uses_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="computes on the CPU"):
        on_cpu(tmp_path, "--gpus", "H100-80GB")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--all", "--set", "proxy.port=x"), "--set: sets keys of one profile, and --all compares every shipped one"),
        (
            ("--profile", "embedded", "--gpus", "1xH100-80GB"),
            "--gpus: got '1xH100-80GB', and the profile 'embedded' computes on the CPU (engine/kind: embedded)",
        ),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(ProfileError) as caught:
        plan(*arguments)

    assert caught.value.message == said
    assert caught.value.next_step is not None


def test_the_embedded_engine_is_planned_by_the_machines_memory() -> None:
    """The demonstration model's cache: 4 layers, 2 heads of 32 for keys and for values, in 16 bits."""
    document = json.loads(plan("--profile", "embedded", "--json").stdout)
    smaller = json.loads(plan("--profile", "embedded", "--context", "512", "--json").stdout)

    assert document["verdict"] == "fits"
    assert document["kv_bytes"] == 8 * 4096 * 4 * 2 * (32 + 32) * 2
    assert smaller["kv_bytes"] * 8 == document["kv_bytes"]
    assert plan("--profile", "embedded").stdout.startswith("FITS: embedded: needs ")


def test_what_needs_more_than_the_machines_memory_does_not_work() -> None:
    memory = memory_of_file(demonstration_model(), context=4096, slots=8, kv_type=None)

    assert not EmbeddedPlan(context=4096, slots=8, memory=memory, available=memory.most - 1).works
    assert EmbeddedPlan(context=4096, slots=8, memory=memory, available=memory.most).works


def keep(*starts: MeasuredStart) -> None:
    kept_memory().keep(starts)


def test_what_earlier_starts_on_this_box_took_is_a_row_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = write_nvidia_smi(tmp_path / "bin", [4] * 4)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    here = SETTING.model_copy(update={"box": machine_name()})
    plain = json.loads(plan("--profile", "h100-bf16", "--json").stdout)
    keep(
        measured_start(20_000 * KV_TOKEN, setting=here),
        measured_start(20_000 * KV_TOKEN, setting=here, instance="another"),
        measured_start(13 * GB, setting=here, instance="odd"),
    )

    corrected = json.loads(plan("--profile", "h100-bf16", "--json").stdout)
    uncorrected = json.loads(plan("--profile", "h100-bf16", "--uncorrected", "--json").stdout)
    elsewhere = json.loads(plan("--profile", "h100-bf16", "--gpus", "4xH100-80GB", "--json").stdout)
    shown = plan("--profile", "h100-bf16").stdout

    assert uncorrected == plain
    assert elsewhere["correction"] is None
    assert corrected["fit"]["kv_tokens"] == plain["fit"]["kv_tokens"] - 20_000
    assert corrected["fit"]["each_gpu"]["correction_bytes"] == 20_000 * KV_TOKEN
    assert corrected["correction"] == {
        "bytes": 20_000 * KV_TOKEN,
        "starts": 2,
        "of": "these settings",
        "newest": "2026-11-20",
        "left_out": 1,
    }
    assert "learnt here          1.0" in shown
    assert "measured on this box on 2026-11-20, 2 starts of these settings" in shown
    assert "note: 1 start measured on this box left out" in shown


def test_the_shipped_profiles_are_ranked_by_what_was_measured_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = write_nvidia_smi(tmp_path / "bin", [4] * 4)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    keep(measured_start(20_000 * KV_TOKEN, setting=SETTING.model_copy(update={"box": machine_name()})))

    plans = json.loads(plan("--all", "--json").stdout)["plans"]

    corrections = {one["correction"]["of"] if one["correction"] else None for one in plans if one["fit"]}
    # Those that would be split over another number of GPUs learn nothing.
    assert corrections == {"these settings", "other models", None}


def test_the_embedded_engine_is_corrected_by_its_own_starts() -> None:
    argv = ("--model", str(demonstration_model()), "--context", "4096", "--slots", "8")
    start, memory = start_of_command(argv), memory_of_command(argv)
    assert start is not None
    assert memory is not None
    setting = start.setting(machine_name(), __version__)
    process = ProcessIdentity(pid=1, created_s=1.0, birth="once")
    plain = json.loads(plan("--profile", "embedded", "--json").stdout)
    keep(measured_engine(setting, memory, process, memory.started + 9 * MIB, NOON_S))

    corrected = json.loads(plan("--profile", "embedded", "--json").stdout)
    shown = plan("--profile", "embedded").stdout
    uncorrected = json.loads(plan("--profile", "embedded", "--uncorrected", "--json").stdout)

    assert (plain["correction"], uncorrected["correction"]) == (None, None)
    assert corrected["correction_bytes"] == 9 * MIB
    assert corrected["started_bytes"] == plain["started_bytes"] + 9 * MIB
    assert "learnt here              9 MiB  measured on this box on 2026-11-20, 1 start of these settings" in shown


def gpu(index: int, name: str, total_gib: int, used_gib: int = 0) -> Gpu:
    return Gpu(
        index=index,
        uuid=f"GPU-{index}",
        name=name,
        memory_total_bytes=total_gib * GIB,
        memory_used_bytes=used_gib * GIB,
        compute_capability="8.0",
    )


def test_this_machines_gpus_are_of_one_kind_and_the_freest_first() -> None:
    box = Inventory(gpus=(gpu(0, "T4", 15), gpu(1, "A100", 80, used_gib=70), gpu(2, "A100", 80)))

    found = gpus_here(PlanMachine(inventory=box), Hardware())

    assert [one.held_bytes // GIB for one in found.gpus] == [0, 70]
    assert found.origin == "the GPUs of this machine; 1 x T4 (15 GiB), 2 x A100 (80 GiB) are here"


def test_a_profile_says_which_of_this_machines_gpus_are_meant() -> None:
    box = Inventory(gpus=(gpu(0, "A100", 80), gpu(1, "A100", 40)))

    assert gpus_here(PlanMachine(inventory=box), Hardware(gpu_ids=(1,))).gpus[0].total_bytes < 40 * GIB


def test_without_gpus_the_plan_is_for_those_that_the_profile_is_for() -> None:
    found = gpus_here(PlanMachine(), Hardware(gpu_kind="A100", gpu_memory_gb=80, gpu_count=4))

    assert [one.name for one in found.gpus] == ["A100-80GB"] * 4
    assert "that the profile is for" in found.origin


def test_without_any_gpus_to_plan_for_the_next_step_names_an_example() -> None:
    with pytest.raises(GpuUnavailableError) as caught:
        gpus_here(PlanMachine(inventory=Inventory(problem="nvidia-smi said: no")), Hardware())

    assert caught.value.message == "nvidia-smi said: no"
    assert "--gpus 4xH100-80GB" in (caught.value.next_step or "")
