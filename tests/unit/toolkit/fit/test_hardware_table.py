"""The READMEs' table of hardware: the planner's own numbers, and none that is older."""

from pathlib import Path

import pytest

from scout_deploy.hardware_table.__main__ import language_of, main
from scout_deploy.hardware_table.document import END, START, with_table
from scout_deploy.hardware_table.table import hardware_table, rows
from scout_deploy.shipped_profiles import shipped_for_tgi

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_the_committed_tables_are_current(name: str) -> None:
    document = (ROOT / name).read_text(encoding="utf-8")

    assert with_table(document, hardware_table(language_of(ROOT / name))) == document, "run make hardware-table"


def test_every_shipped_profile_for_gpus_has_a_row_and_fits() -> None:
    found = {row.profile: row.plan.answer for row in rows()}

    assert found.pop(None) == "no"
    assert found == {one.name: "fits" for one in shipped_for_tgi()}


def test_the_documents_eight_gigabytes_are_refuted_by_the_smallest_scout() -> None:
    (documented,) = [row for row in rows() if row.profile is None]

    assert documented.plan.reason.startswith("the weights alone need 64.9 GB")
    assert "there are 8.3 GB" in documented.plan.reason
    assert "| the 8 GB of the API's document |" in hardware_table("en")
    assert "| API 文档所说的 8 GB |" in hardware_table("zh")


def test_it_is_written_into_a_document_and_nothing_else_is_changed(tmp_path: Path) -> None:
    document = tmp_path / "README.md"
    document.write_text(f"before\n{START}\nold\n{END}\nafter\n", encoding="utf-8")

    assert main([str(document)]) == 0
    assert document.read_text(encoding="utf-8") == f"before\n{START}\n\n{hardware_table('en')}\n{END}\nafter\n"


@pytest.mark.parametrize("text", ["nothing\n", f"{END}\n{START}\n", f"{START}\n{END}\n{START}\n"])
def test_a_document_without_its_place_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    document = tmp_path / "README.md"
    document.write_text(text, encoding="utf-8")

    assert main([str(document)]) == 1
    assert "expected one line" in capsys.readouterr().err
    assert document.read_text(encoding="utf-8") == text


def test_a_document_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "no.md")]) == 1
    assert "no.md: " in capsys.readouterr().err
