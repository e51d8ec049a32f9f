"""What `rocm-smi --json` printed on users' machines, read."""

from pathlib import Path

import pytest

from scout_deploy.gpus.rocm_smi import parse_cards

POSTED = Path(__file__).parents[2] / "data/gpus"


def posted(name: str) -> str:
    return (POSTED / name).read_text(encoding="utf-8").partition("\n")[2]


def test_a_card_with_its_memory() -> None:
    (gpu,) = parse_cards(posted("rocm-7900xt.json"))

    assert (gpu.index, gpu.name, gpu.vendor, gpu.compute_capability) == (0, "Radeon RX 7900 XT", "amd", "gfx1100")
    assert (gpu.memory_total_bytes, gpu.memory_used_bytes) == (21_458_059_264, 27_856_896)


def test_the_name_is_words_and_no_pci_id() -> None:
    (gpu,) = parse_cards(posted("rocm-mi250x.json"))

    assert gpu.name == "AMD INSTINCT MI200 (MCM) OAM LC MBA HPE C2"
    assert gpu.memory_total_bytes is None


def test_text_around_the_document_is_passed_over() -> None:
    assert (
        len(parse_cards("WARNING: AMD GPU device(s) is/are in a low-power state\n" + posted("rocm-7900xt.json"))) == 1
    )


def test_what_is_no_document_is_refused_with_what_it_was() -> None:
    with pytest.raises(ValueError, match="ROCk module is NOT loaded"):
        parse_cards("ROCk module is NOT loaded, possibly no GPU devices")
