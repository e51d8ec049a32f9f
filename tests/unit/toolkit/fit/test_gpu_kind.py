import pytest

from scout_deploy.fit.gpu_kind import KNOWN, UnknownGpusError, describe, of_driver, read_gpus
from scout_deploy.gpus.gpu import Gpu

MIB = 2**20


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("4xH100-80GB", "4 x H100-80GB"),
        ("H200", "1 x H200-141GB"),
        ("8 x l40s-48gb", "8 x L40S-48GB"),
        ("2xRTX 4090", "2 x RTX4090-24GB"),
        ("MI300X", "1 x MI300X-192GB"),
    ],
)
def test_gpus_are_written_as_people_write_them(written: str, expected: str) -> None:
    assert describe(read_gpus(written)) == expected


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("", "expected a number and a kind"),
        ("0xH100-80GB", "1 to 1024"),
        ("5000xH100-80GB", "1 to 1024"),
        ("A100", "A100-40GB and A100-80GB; say which"),
        ("A100-60GB", "did you mean A100-"),
        ("H100-80GB,A100-80GB", "of one kind"),
        ("2xH800", "no GPU is known as H800"),
        ("-1xH100", "expected a number and a kind"),
    ],
)
def test_what_names_no_gpus_is_explained(written: str, complaint: str) -> None:
    with pytest.raises(UnknownGpusError, match=complaint):
        read_gpus(written)


def test_every_known_gpu_has_less_than_is_sold() -> None:
    assert [one.name for one in KNOWN if not 0.85 < one.usable_gib * 2**30 / (one.sold_gb * 1e9) < 1.08] == []
    assert [one.name for one in KNOWN if read_gpus(one.name)[0] != one.gpu] == []


def test_of_what_a_driver_reports_cuda_gives_out_a_little_less() -> None:
    """Measured on an H200: 143,771 MiB are reported, 143,156 MiB given out."""
    gpu = Gpu(index=0, uuid="", name="NVIDIA H200", memory_total_bytes=143_771 * MIB, memory_used_bytes=7 * MIB)

    found = of_driver([gpu])

    assert found is not None
    assert 0.99 * 143_156 * MIB < found[0].total_bytes <= 143_156 * MIB
    assert found[0].held_bytes == 7 * MIB


def test_a_gpu_without_memory_of_its_own_cannot_be_planned_for() -> None:
    assert of_driver([Gpu(index=0, uuid="", name="NVIDIA GB10")]) is None
