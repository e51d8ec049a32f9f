"""The inventory of a machine's GPUs, over tools that answer as they did on users' machines."""

import os
import stat
from pathlib import Path

import pytest

from fakes.nvml_library import install_nvml
from scout_deploy.gpus.gpu import describe_gpus
from scout_deploy.gpus.inventory import read_inventory, read_local_inventory
from scout_deploy.gpus.nvidia_smi import FIELDS_OF_OLD_DRIVERS, query_argv
from scout_deploy.gpus.tool import ToolAnswer, run_local

POSTED = Path(__file__).parents[2] / "data/gpus"
MISSING = ToolAnswer(status=None)


def posted(name: str) -> str:
    return (POSTED / name).read_text(encoding="utf-8").partition("\n")[2]


class Tools:
    """A machine's tools: what each command answers; all others are not installed."""

    def __init__(self, answers: dict[str, ToolAnswer]) -> None:
        self._answers = answers

    def __call__(self, argv: tuple[str, ...]) -> ToolAnswer:
        return self._answers.get(" ".join(argv), self._answers.get(argv[0], MISSING))


def test_nvidia_gpus_with_driver_and_cuda() -> None:
    row = "0, GPU-5d49bdf4-b8d0-21ce-9260-a89c66748d92, NVIDIA L4, 23034, 14, 535.216.01, [N/A], 8.9\n"
    tools = Tools(
        {
            " ".join(query_argv()): ToolAnswer(status=0, text=row),
            "nvidia-smi": ToolAnswer(status=0, text=posted("header-535.txt")),
        }
    )

    inventory = read_inventory(tools)

    assert (inventory.driver_version, inventory.cuda_version, inventory.problem) == ("535.216.01", "12.2", None)
    assert describe_gpus(inventory.gpus) == "1 x NVIDIA L4 (22 GiB)"


def test_a_driver_too_old_for_a_field_is_asked_without_it() -> None:
    row = "0, GPU-22b2c6ac-2d49-4863-197c-9c469071178a, GeForce RTX 2080, 7979, 10, 440.64\n"
    tools = Tools(
        {
            " ".join(query_argv()): ToolAnswer(
                status=2, text='Field "mig.mode.current" is not a valid field to query.\n'
            ),
            " ".join(query_argv(FIELDS_OF_OLD_DRIVERS)): ToolAnswer(status=0, text=row),
            "nvidia-smi": ToolAnswer(status=0),
        }
    )

    inventory = read_inventory(tools)

    assert [(gpu.name, gpu.compute_capability) for gpu in inventory.gpus] == [("GeForce RTX 2080", None)]
    assert inventory.driver_version == "440.64"


def test_amd_gpus_where_there_are_no_nvidia_ones() -> None:
    inventory = read_inventory(Tools({"rocm-smi": ToolAnswer(status=0, text=posted("rocm-7900xt.json"))}))

    assert [(gpu.vendor, gpu.name) for gpu in inventory.gpus] == [("amd", "Radeon RX 7900 XT")]


def test_a_driver_that_answers_with_a_complaint_is_a_problem_with_its_words_and_the_remedy() -> None:
    inventory = read_inventory(Tools({"nvidia-smi": ToolAnswer(status=18, text=posted("failed-mismatch.txt"))}))

    assert inventory.gpus == ()
    assert inventory.problem is not None
    assert "Driver/library version mismatch NVML library version: 565.57" in inventory.problem
    assert inventory.remedy == "restart the machine"


def test_a_lost_gpu_among_working_ones_is_told_beside_them() -> None:
    # https://github.com/akash-network/support/issues/209
    lost = "Unable to determine the device handle for GPU0000:A1:00.0: Unknown Error\n"
    row = "0, GPU-5d49bdf4-b8d0-21ce-9260-a89c66748d92, NVIDIA L4, 23034, 14, 535.161.07, [N/A], 8.9\n"

    inventory = read_inventory(Tools({"nvidia-smi": ToolAnswer(status=0, text=row + lost)}))

    assert len(inventory.gpus) == 1
    assert "Unable to determine the device handle" in str(inventory.problem)


def test_a_tool_that_fails_without_a_word_is_told_by_its_status() -> None:
    assert "status 255" in str(read_inventory(Tools({"nvidia-smi": ToolAnswer(status=255)})).problem)


def test_a_machine_without_tools_and_drivers_has_nothing_and_no_problem() -> None:
    inventory = read_inventory(Tools({}))

    assert (inventory.gpus, inventory.loaded, inventory.problem) == ((), (), None)


def test_a_loaded_driver_without_its_tool_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    install_nvml(monkeypatch, None)
    folder = tmp_path / "proc/driver/nvidia/gpus/0000:01:00.0"
    folder.mkdir(parents=True)
    (folder / "information").write_text("Model: \t\t NVIDIA A100-SXM4-80GB\n")

    inventory = read_local_inventory(tmp_path)

    assert inventory.loaded == ("NVIDIA A100-SXM4-80GB",)
    assert inventory.problem is not None
    assert "nor its nvidia-smi or rocm-smi is installed" in inventory.problem


def test_a_tool_that_hangs_is_given_up(tmp_path: Path) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nexec sleep 60\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)

    answer = run_local((str(tool),), timeout_s=0.05)

    assert answer.status is None
    assert "did not answer within 0.05 s" in answer.text


def test_a_tool_that_is_missing_is_an_answer() -> None:
    assert run_local((os.devnull + "/nvidia-smi",)) == MISSING
