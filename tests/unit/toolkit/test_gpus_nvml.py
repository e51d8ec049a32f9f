"""NVML's answers, read through `pynvml` itself from a library of the tests' own."""

import threading
from pathlib import Path

import pynvml
import pytest

from fakes.nvml_library import MIB, NvmlDevice, NvmlLibrary, install_nvml
from scout_deploy.gpus.gpu import GpuProcess
from scout_deploy.gpus.inventory import read_local_inventory
from scout_deploy.gpus.nvidia_smi import parse_query
from scout_deploy.gpus.nvml import read_nvml

POSTED = Path(__file__).parents[2] / "data/gpus"


def test_an_h100_as_nvidia_smi_tells_it_through_the_same_library(monkeypatch: pytest.MonkeyPatch) -> None:
    library = NvmlLibrary([NvmlDevice()])
    install_nvml(monkeypatch, library)

    reading = read_nvml()

    recorded = parse_query((POSTED / "h100-580-query-used.txt").read_text(encoding="utf-8").partition("\n")[2])
    assert reading.gpus == recorded.gpus
    assert (reading.driver_version, reading.cuda_version, reading.problem) == (recorded.driver_version, "13.0", None)
    assert library.open == 0


def test_a_driver_before_the_second_version_of_memory_is_asked_for_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    install_nvml(monkeypatch, NvmlLibrary([NvmlDevice()], missing=["nvmlDeviceGetMemoryInfo_v2"], cuda=12_020))

    reading = read_nvml()

    assert [gpu.memory_used_bytes for gpu in reading.gpus] == [(10_767 + 555) * MIB]
    assert (reading.cuda_version, reading.problem) == ("12.2", None)


def test_a_gpu_without_memory_of_its_own_has_none_and_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = dict.fromkeys(("nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetMigMode"), pynvml.NVML_ERROR_NOT_SUPPORTED)
    install_nvml(monkeypatch, NvmlLibrary([NvmlDevice(name="NVIDIA GB10", capability=(12, 1), errors=shared)]))

    reading = read_nvml()

    (gpu,) = reading.gpus
    assert (gpu.name, gpu.memory_total_bytes, gpu.mig, gpu.compute_capability) == ("NVIDIA GB10", None, False, "12.1")
    assert reading.problem is None


def test_mig_is_told_though_the_memory_of_the_whole_may_not_be_known(monkeypatch: pytest.MonkeyPatch) -> None:
    forbidden = {"nvmlDeviceGetMemoryInfo_v2": pynvml.NVML_ERROR_NO_PERMISSION}
    install_nvml(monkeypatch, NvmlLibrary([NvmlDevice(mig=1, errors=forbidden)]))

    reading = read_nvml()

    assert [(gpu.mig, gpu.memory_total_bytes) for gpu in reading.gpus] == [(True, None)]
    assert "NVML said of the memory of GPU 0: Insufficient Permissions" in str(reading.problem)
    assert "/dev/nvidia*" in str(reading.remedy)


def test_who_computes_on_a_gpu_is_named_as_far_as_the_user_may_know(monkeypatch: pytest.MonkeyPatch) -> None:
    users = [(4242, "/usr/bin/python3", 10_240 * MIB), (77, "/opt/trainer", 512 * MIB)]
    install_nvml(monkeypatch, NvmlLibrary([NvmlDevice(processes=users)]))
    known = read_nvml().gpus[0].processes
    install_nvml(
        monkeypatch,
        NvmlLibrary(
            [NvmlDevice(processes=users)], errors={"nvmlSystemGetProcessName": pynvml.NVML_ERROR_NO_PERMISSION}
        ),
    )
    nameless = read_nvml().gpus[0].processes
    forbidden = {"nvmlDeviceGetComputeRunningProcesses_v3": pynvml.NVML_ERROR_NO_PERMISSION}
    install_nvml(monkeypatch, NvmlLibrary([NvmlDevice(processes=users, errors=forbidden)]))
    unknown = read_nvml()

    assert known == (
        GpuProcess(pid=4242, name="python3", memory_bytes=10_240 * MIB),
        GpuProcess(pid=77, name="trainer", memory_bytes=512 * MIB),
    )
    assert [one.name for one in nameless] == ["", ""]
    assert (unknown.gpus[0].processes, unknown.problem) == ((), None)


@pytest.mark.parametrize("lost", ["nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetName"])
def test_a_lost_gpu_is_told_beside_the_working_ones(lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = NvmlDevice(errors={lost: pynvml.NVML_ERROR_GPU_IS_LOST})
    install_nvml(monkeypatch, NvmlLibrary([NvmlDevice(), dead, NvmlDevice(uuid="GPU-2")]))

    reading = read_nvml()

    assert [gpu.index for gpu in reading.gpus] == [0, 2]
    assert "NVML said of GPU 1: GPU is lost (the GPU fell off its bus" in str(reading.problem)
    assert "xid" in str(reading.remedy)


@pytest.mark.parametrize(
    ("error", "words", "remedy"),
    [
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "Driver Not Loaded (the NVIDIA driver's kernel module", "install the"),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, "its old kernel module is still loaded", "restart the machine"),
        (pynvml.NVML_ERROR_NO_PERMISSION, "may not open the GPU's device files", "/dev/nvidia*"),
        (
            pynvml.NVML_ERROR_UNKNOWN,
            "Unknown Error (access to the GPU's device files was taken away",
            "container again",
        ),
        (pynvml.NVML_ERROR_GPU_NOT_FOUND, "finds no working GPU", "NVRM"),
        (pynvml.NVML_ERROR_IRQ_ISSUE, "Interrupt Request Issue", "None"),
    ],
)
def test_a_library_that_cannot_start_is_explained(
    error: int, words: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_nvml(monkeypatch, NvmlLibrary([NvmlDevice()], errors={"nvmlInitWithFlags": error}))

    reading = read_nvml()

    assert (reading.gpus, reading.is_absent) == ((), False)
    assert words in str(reading.problem)
    assert remedy in str(reading.remedy)


def test_a_driver_that_finds_no_gpu_says_where_the_reason_is(monkeypatch: pytest.MonkeyPatch) -> None:
    install_nvml(monkeypatch, NvmlLibrary())

    reading = read_nvml()

    assert "finds no working GPU" in str(reading.problem)
    assert "NVRM" in str(reading.remedy)


def test_a_driver_that_hangs_is_left_behind_and_no_tool_is_asked_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tmp_path / "asked"
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\ntouch {asked}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    answers = threading.Event()
    install_nvml(monkeypatch, NvmlLibrary([NvmlDevice()], before=answers.wait))

    inventory = read_local_inventory(tmp_path, ask=lambda: read_nvml(timeout_s=0.05))
    answers.set()
    for left_behind in [one for one in threading.enumerate() if one.name == "nvml"]:
        left_behind.join()

    assert "NVML did not answer within 0.05 s" in str(inventory.problem)
    assert "dmesg" in str(inventory.remedy)
    assert not asked.exists()


def test_without_the_library_the_tool_is_asked_and_the_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_nvml(monkeypatch, None)
    put_tool(tmp_path, (POSTED / "h100-580-query-used.txt").read_text(encoding="utf-8").partition("\n")[2])
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")

    inventory = read_local_inventory(tmp_path)

    assert [gpu.name for gpu in inventory.gpus] == ["NVIDIA H100 80GB HBM3"]
    assert inventory.source == "nvidia-smi, as libnvidia-ml.so.1, the NVIDIA driver's own library, is not to be found"
    assert inventory.problem is None


def test_where_neither_answers_the_librarys_word_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mismatch = pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH
    install_nvml(monkeypatch, NvmlLibrary([NvmlDevice()], errors={"nvmlInitWithFlags": mismatch}))
    monkeypatch.setenv("PATH", str(tmp_path))

    inventory = read_local_inventory(tmp_path)

    assert "NVML said: RM has detected an NVML/RM version mismatch. (the NVIDIA driver was" in str(inventory.problem)
    assert inventory.remedy == "restart the machine"


def test_a_container_without_the_drivers_libraries_is_told_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_nvml(monkeypatch, None)
    monkeypatch.setenv("PATH", str(tmp_path))
    folder = tmp_path / "proc/driver/nvidia/gpus/0000:01:00.0"
    folder.mkdir(parents=True)
    (folder / "information").write_text("Model: \t\t NVIDIA A100-SXM4-80GB\n")
    (tmp_path / ".dockerenv").touch()

    inventory = read_local_inventory(tmp_path)

    assert inventory.loaded == ("NVIDIA A100-SXM4-80GB",)
    assert "neither its library (libnvidia-ml.so.1)" in str(inventory.problem)
    assert "docker run --gpus all" in str(inventory.remedy)


def put_tool(folder: Path, answer: str) -> None:
    (folder / "answer.csv").write_text(answer, encoding="utf-8")
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\nexec cat {folder}/answer.csv\n", encoding="utf-8")
    tool.chmod(0o755)
