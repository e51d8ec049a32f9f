from pathlib import Path

import pytest

from scout_deploy.image_history import ImageHistory

TGI = "ghcr.io/huggingface/text-generation-inference:3.3.7"
DIGEST = "ghcr.io/huggingface/text-generation-inference@sha256:1"


def test_a_digest_is_remembered_across_commands(tmp_path: Path) -> None:
    path = tmp_path / "state" / "images.json"
    ImageHistory(path).keep(TGI, DIGEST)
    ImageHistory(path).keep("other:1", "other@sha256:2")

    assert ImageHistory(path).digest(TGI) == DIGEST
    assert ImageHistory(path).digest("other:1") == "other@sha256:2"
    assert ImageHistory(path).digest("never:1") is None
    assert [one.name for one in path.parent.iterdir()] == ["images.json"]


def test_a_digest_can_be_replaced(tmp_path: Path) -> None:
    history = ImageHistory(tmp_path / "images.json")
    history.keep(TGI, "old")
    history.keep(TGI, DIGEST)

    assert history.digest(TGI) == DIGEST


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', "\xff"])
def test_a_damaged_file_is_made_again(tmp_path: Path, text: str) -> None:
    path = tmp_path / "images.json"
    path.write_text(text, encoding="latin-1")
    history = ImageHistory(path)

    assert history.digest("a") is None
    history.keep(TGI, DIGEST)
    assert history.digest(TGI) == DIGEST


def test_a_disk_that_refuses_costs_only_the_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    history = ImageHistory(tmp_path / "file" / "images.json")

    history.keep(TGI, DIGEST)

    assert history.digest(TGI) is None
