"""What `nvidia-smi` printed on users' machines, read."""

from pathlib import Path

import pytest

from scout_deploy.gpus.nvidia_smi import (
    QUERY_FIELDS,
    cuda_version,
    driver_version,
    explain_failure,
    is_unknown_field,
    parse_list,
    parse_query,
    query_argv,
)

POSTED = Path(__file__).parents[2] / "data/gpus"
MIB = 2**20

# fmt: off
LONG_QUERY = (
    "power.limit", "power.min_limit", "power.max_limit", "memory.total", "vbios_version", "driver_version", "name",
    "uuid", "power.draw", "temperature.gpu", "temperature.memory", "clocks.current.graphics", "clocks.sm",
    "clocks.mem", "utilization.gpu", "utilization.memory", "fan.speed", "pcie.link.width.current", "pstate",
)
OLD_QUERY = (
    "memory.total", "memory.free", "memory.used", "temperature.gpu", "fan.speed", "utilization.gpu",
    "utilization.memory",
)
# fmt: on


def posted(name: str) -> str:
    """What a user posted, without the line that says where."""
    return (POSTED / name).read_text(encoding="utf-8").partition("\n")[2]


def test_a_query_gives_index_name_and_compute_capability() -> None:
    fields = ("compute_cap", "compute_mode", "driver_version", "name", "index")

    answer = parse_query(posted("query-compute-capability.txt"), fields)

    assert [(gpu.index, gpu.name, gpu.compute_capability) for gpu in answer.gpus] == [
        (0, "NVIDIA TITAN V", "7.0"),
        (1, "NVIDIA RTX 5880 Ada Generation", "8.9"),
    ]
    assert answer.driver_version == "570.86.15"
    assert answer.unread == ()


def test_memory_is_read_in_mebibytes_among_many_fields() -> None:
    (gpu,) = parse_query(posted("query-long.txt"), LONG_QUERY).gpus

    assert gpu.memory_total_bytes == 7979 * MIB
    assert gpu.uuid == "GPU-22b2c6ac-2d49-4863-197c-9c469071178a"
    assert gpu.memory_used_bytes is None


def test_our_own_query_as_an_h100_answers_it() -> None:
    (listed,) = parse_list(posted("h100-580-list.txt"))

    answer = parse_query(posted("h100-580-query-used.txt"))

    (gpu,) = answer.gpus
    assert (gpu.index, gpu.uuid, gpu.name) == (0, listed.uuid, "NVIDIA H100 80GB HBM3")
    assert (gpu.memory_total_bytes, gpu.memory_used_bytes) == (81559 * MIB, 10767 * MIB)
    assert (gpu.compute_capability, gpu.mig, answer.driver_version) == ("9.0", False, "580.159.04")
    assert answer.unread == ()


def test_memory_that_the_driver_does_not_know_is_unknown_and_no_failure() -> None:
    fields = ("memory.used", "memory.total", "utilization.memory")

    (gpu,) = parse_query(posted("query-memory-not-available.txt"), fields).gpus

    assert (gpu.memory_used_bytes, gpu.memory_total_bytes) == (None, None)


def test_values_of_old_drivers_that_are_not_supported_do_not_hide_the_others() -> None:
    (gpu,) = parse_query(posted("query-memory-not-supported.txt"), OLD_QUERY).gpus

    assert (gpu.memory_used_bytes, gpu.memory_total_bytes) == (0, 2004 * MIB)


def test_mig_mode_is_told_of_a_gpu() -> None:
    (gpu,) = parse_query("0, GPU-1, NVIDIA A100-SXM4-80GB, 81920, 0, 535.54.03, Enabled, 8.0\n", QUERY_FIELDS).gpus

    assert gpu.mig


@pytest.mark.parametrize("name", ["failed-mismatch.txt", "failed-no-devices.txt", "failed-no-driver.txt"])
def test_a_complaint_is_no_gpu(name: str) -> None:
    answer = parse_query(posted(name))

    assert answer.gpus == ()
    assert answer.unread


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("failed-mismatch.txt", "restart the machine"),
        ("failed-no-devices.txt", "no working GPU"),
        ("failed-no-driver.txt", "kernel module is not loaded"),
        ("list-lost-in-container.txt", "was taken away"),
        ("failed-permissions.txt", "may not open the GPU's device files"),
        ("failed-hook-no-driver.txt", "sudo modprobe nvidia"),
    ],
)
def test_a_known_complaint_is_explained(name: str, advice: str) -> None:
    failure = explain_failure(posted(name))

    assert failure is not None
    assert advice in f"{failure.cause}; {failure.remedy}"


def test_an_unknown_complaint_is_not_guessed_at() -> None:
    assert explain_failure("Segmentation fault") is None


def test_a_list_with_mig_instances() -> None:
    first, *others = parse_list(posted("list-mig.txt"))

    assert [instance.profile for instance in first.instances] == ["1g.20gb"] * 4
    assert first.instances[3].uuid == "MIG-930574a9-d43a-5d2b-95da-3e68384c8d6b"
    assert [(gpu.index, gpu.instances) for gpu in others] == [(1, ()), (2, ()), (3, ())]


def test_a_list_of_two_kinds() -> None:
    assert [gpu.name for gpu in parse_list(posted("list-two-kinds.txt"))] == ["NVIDIA A10"] * 2 + ["Tesla T4"] * 2


@pytest.mark.parametrize(
    ("name", "driver", "cuda"),
    [
        ("header-535.txt", "535.216.01", "12.2"),
        ("header-610.txt", "610.43.02", "13.3"),
        ("h100-580-header.txt", "580.159.04", "13.0"),
        ("header-no-cuda.txt", "510.60.02", None),
    ],
)
def test_versions_of_the_header(name: str, driver: str, cuda: str | None) -> None:
    assert (driver_version(posted(name)), cuda_version(posted(name))) == (driver, cuda)


def test_an_unknown_field_is_recognised_so_that_old_drivers_are_asked_for_less() -> None:
    # https://github.com/huggingface/candle/issues/733
    assert is_unknown_field('Field "compute_cap" is not a valid field to query.')
    assert not is_unknown_field(posted("failed-no-devices.txt"))


def test_the_query_asks_for_plain_values() -> None:
    assert query_argv()[-1] == "--format=csv,noheader,nounits"
