"""Runs that are kept, found again by their names, and chosen for a comparison."""

import json
import os
from pathlib import Path

import pytest

from fakes.bench_results import bench_run, record, step_result
from scout_deploy.bench.run_choice import chosen_runs
from scout_deploy.bench.run_files import write_run
from scout_deploy.bench.run_store import KEPT_PER_IMAGE, RunStore
from scout_deploy.cli.bench_kept import list_
from scout_deploy.errors import DeployError, StateError
from scout_deploy.xdg import user_directories
from scout_loadtest.bench_run import GATE, Step

OLD, NEW = f"sha256:{'a1' * 32}", f"sha256:{'b2' * 32}"


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "benchmarks")


def keep(store: RunStore, *names: str, digest: str | None = None) -> None:
    for number, name in enumerate(names):
        store.keep(bench_run(name, image_digest=digest, began_at=1000.0 + number))


def test_a_run_lies_with_its_deployment_profile_and_image(store: RunStore) -> None:
    path = store.keep(bench_run("one", profile="/home/me/my profile.yaml", image_digest=OLD))

    assert path == store.folder / "scout" / "home-me-my-profile.yaml" / "a1a1a1a1a1a1" / "one.json"
    assert chosen_runs(store, "one") == (bench_run("one", profile="/home/me/my profile.yaml", image_digest=OLD),)


def test_names_tell_deployment_and_time_and_are_used_once(store: RunStore) -> None:
    first = store.new_id("scout", 0.0)
    keep(store, first)

    assert first == "scout-19700101-000000"
    assert store.new_id("scout", 0.0) == "scout-19700101-000000-2"
    assert store.new_id(None, 0.0) == "elsewhere-19700101-000000"


def test_the_newest_of_an_image_are_kept(store: RunStore) -> None:
    keep(store, *(f"run-{number:03d}" for number in range(KEPT_PER_IMAGE + 2)))

    assert [run.id for run in store.runs()] == [f"run-{number:03d}" for number in range(2, KEPT_PER_IMAGE + 2)]


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("old-1", ["old-1"]),
        ("scout", ["old-1", "new-1", "old-2"]),
        ("scout@a1a1a1", ["old-1", "old-2"]),
        (f"scout@{NEW}", ["new-1"]),
        ("scout@embedded", ["old-1", "new-1", "old-2"]),
    ],
)
def test_a_word_chooses_runs(store: RunStore, word: str, names: list[str]) -> None:
    keep(store, "old-1", "old-2", digest=OLD)
    keep(store, "new-1", digest=NEW)

    assert sorted(run.id for run in chosen_runs(store, word)) == sorted(names)


def test_a_gates_run_is_chosen_by_its_name_alone(store: RunStore) -> None:
    keep(store, "old-1", digest=OLD)
    gate = Step(purpose=GATE, starts_s=0.0, result=step_result([record(0)]), holds=True)
    store.keep(bench_run("gate-1", image_digest=OLD, steps=(gate,)))

    assert [run.id for run in chosen_runs(store, "scout")] == ["old-1"]
    assert [run.id for run in chosen_runs(store, "gate-1")] == ["gate-1"]


def test_a_file_is_a_run_too(store: RunStore, tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.json"
    path.write_text(bench_run("away").model_dump_json(), encoding="utf-8")

    assert [run.id for run in chosen_runs(store, str(path))] == ["away"]


def test_what_is_no_run_is_said(store: RunStore, tmp_path: Path) -> None:
    keep(store, "one")
    (tmp_path / "odd.json").write_text('{"id": 7}', encoding="utf-8")
    newer = bench_run("two").model_copy(update={"format": 99})
    (tmp_path / "newer.json").write_text(newer.model_dump_json(), encoding="utf-8")

    with pytest.raises(DeployError, match="'nothing' is neither a file nor a benchmark"):
        chosen_runs(store, "nothing")
    with pytest.raises(DeployError, match="no benchmark of 'scout' with 'ffff'"):
        chosen_runs(store, "scout@ffff")
    with pytest.raises(StateError, match=r"odd\.json is no benchmark of this version"):
        chosen_runs(store, str(tmp_path / "odd.json"))
    with pytest.raises(StateError, match="has the format 99"):
        chosen_runs(store, str(tmp_path / "newer.json"))


def test_a_file_that_is_damaged_is_left_out_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    store = RunStore(user_directories(os.environ).benchmarks)
    keep(store, "one")
    damaged = store.place(bench_run("two").subject) / "two.json"
    damaged.write_bytes(b'{"id": "two", "steps": [\x00')

    list_()
    shown = capsys.readouterr().out
    list_(as_json=True)
    document = json.loads(capsys.readouterr().out)

    assert f"left out: {damaged} is no benchmark of this version of scout-deploy" in shown
    assert [run["id"] for run in document["runs"]] == ["one"]
    assert str(damaged) in document["unreadable"][0]
    assert [run.id for run in chosen_runs(store, "scout")] == ["one"]


def test_a_folder_that_cannot_be_written_costs_only_what_was_to_lie_there(store: RunStore, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    written = write_run(bench_run("one"), store, tmp_path / "file" / "folder")

    assert written.data == store.find("one")
    assert written.report is not None
    assert written.report.is_file()
    assert len(written.problems) == 1
    assert str(tmp_path / "file") in written.problems[0]
    assert not written.is_complete


def test_a_store_that_cannot_be_written_takes_nothing_from_the_folder_that_was_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    written = write_run(bench_run("one"), RunStore(tmp_path / "file"), tmp_path / "named")

    assert written.is_complete
    assert (written.data, written.report) == (tmp_path / "named/one.json", tmp_path / "named/one.html")
    assert written.problems == (f"{tmp_path / 'file/scout/embedded/no-image'}: Not a directory",)


def test_a_report_is_written_where_its_data_cannot_be(store: RunStore, tmp_path: Path) -> None:
    (tmp_path / "named/one.json").mkdir(parents=True)

    written = write_run(bench_run("one"), store, tmp_path / "named")

    assert (written.report, written.is_complete) == (tmp_path / "named/one.html", False)
    assert written.data == store.find("one")
    assert written.problems == (f"{tmp_path / 'named'}: Is a directory",)
