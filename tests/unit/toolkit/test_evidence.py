import json
from pathlib import Path

from scout_deploy.evidence import KEPT_PER_DEPLOYMENT, newest_evidence, save_evidence

AT_S = 1_795_524_312.25


def test_what_was_kept_is_found_again_with_its_file(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "evidence"

    path = save_evidence(folder, role="engine", at_s=AT_S, facts={"exit_code": 1, "log": ["Zeile mit ü"]})

    assert path == folder / "20261124T124512.250-engine.json"
    assert newest_evidence(folder) == {
        "role": "engine",
        "at": "20261124T124512",
        "exit_code": 1,
        "log": ["Zeile mit ü"],
        "file": str(path),
    }
    assert folder.stat().st_mode & 0o077 == 0


def test_replicas_that_die_in_the_same_millisecond_keep_their_evidence_each(tmp_path: Path) -> None:
    paths = {save_evidence(tmp_path, role="engine", at_s=AT_S, facts={"container": name}) for name in "abc"}

    assert {json.loads(path.read_bytes())["container"] for path in paths if path is not None} == {"a", "b", "c"}


def test_the_oldest_files_are_dropped(tmp_path: Path) -> None:
    for number in range(KEPT_PER_DEPLOYMENT + 3):
        save_evidence(tmp_path, role="engine", at_s=AT_S + number, facts={"number": number})

    kept = sorted(json.loads(path.read_bytes())["number"] for path in tmp_path.glob("*.json"))
    assert kept == list(range(3, KEPT_PER_DEPLOYMENT + 3))


def test_a_name_that_is_not_utf_8_does_not_stop_the_keeping(tmp_path: Path) -> None:
    save_evidence(tmp_path, role="engine", at_s=AT_S, facts={"log": ["path \udcff"]})

    found = newest_evidence(tmp_path)
    assert found is not None
    assert found["log"] == ["path \udcff"]


def test_a_disk_that_refuses_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")

    assert save_evidence(tmp_path / "file" / "evidence", role="engine", at_s=AT_S, facts={}) is None


def test_a_damaged_file_is_passed_over(tmp_path: Path) -> None:
    good = save_evidence(tmp_path, role="engine", at_s=AT_S, facts={"number": 1})
    (tmp_path / "20991231T000000.000-engine.json").write_text('{"cut', encoding="utf-8")
    (tmp_path / "20991231T000000.001-engine.json").write_text("[]", encoding="utf-8")

    found = newest_evidence(tmp_path)
    assert found is not None
    assert found["file"] == str(good)


def test_without_any_evidence_there_is_none(tmp_path: Path) -> None:
    assert newest_evidence(tmp_path) is None
    assert newest_evidence(tmp_path / "missing") is None
