"""The file of measured starts."""

import json
from pathlib import Path

import pytest

from fakes.measured_starts import measured_start
from scout_deploy.memory_history import KEPT_STARTS, MemoryHistory


def test_starts_are_remembered_across_commands(tmp_path: Path) -> None:
    path = tmp_path / "state" / "memory.json"
    first, second = measured_start(1, instance="a"), measured_start(2, instance="b")
    MemoryHistory(path).keep([first])
    MemoryHistory(path).keep([second])

    assert MemoryHistory(path).starts() == (first, second)
    assert MemoryHistory(path).start_of("b") == second
    assert MemoryHistory(path).start_of("c") is None
    assert [one.name for one in path.parent.iterdir()] == ["memory.json"]


def test_of_one_instance_the_newest_measurement_counts(tmp_path: Path) -> None:
    history = MemoryHistory(tmp_path / "memory.json")
    history.keep([measured_start(0, instance="a"), measured_start(0, instance="b")])
    again = measured_start(0, instance="a", at_s=2_000_000_000.0)
    history.keep([again])

    assert history.starts() == (measured_start(0, instance="b"), again)


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    history = MemoryHistory(tmp_path / "memory.json")
    starts = [measured_start(0, instance=str(number)) for number in range(KEPT_STARTS + 3)]
    history.keep(starts)

    assert history.starts() == tuple(starts[3:])


@pytest.mark.parametrize("text", ["", "{", "{}", "7", '[1, null, {"at_s": 1}]', "\xff", "[" * 100_000])
def test_a_damaged_file_costs_only_the_memory(tmp_path: Path, text: str) -> None:
    path = tmp_path / "memory.json"
    path.write_text(text, encoding="latin-1")
    history = MemoryHistory(path)

    assert history.starts() == ()
    history.keep([measured_start(0)])
    assert history.starts() == (measured_start(0),)


def test_one_damaged_start_costs_that_one_alone(tmp_path: Path) -> None:
    path = tmp_path / "memory.json"
    history = MemoryHistory(path)
    history.keep([measured_start(0, instance="a"), measured_start(0, instance="b")])
    documents = json.loads(path.read_text(encoding="utf-8"))
    documents[0]["predicted"]["kv_token"] = 0
    documents[1]["added_by_a_later_version"] = True
    path.write_text(json.dumps(documents), encoding="utf-8")

    assert history.starts() == (measured_start(0, instance="b"),)


def test_a_disk_that_refuses_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    history = MemoryHistory(tmp_path / "file" / "memory.json")

    history.keep([measured_start(0)])

    assert history.starts() == ()
