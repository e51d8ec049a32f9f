"""How many threads the engine computes with."""

from pathlib import Path

from scout_engine.cpus import count_cores, default_threads


def test_hyperthreads_of_one_core_count_once(tmp_path: Path) -> None:
    for cpu, core in enumerate((0, 0, 1, 1)):
        facts = tmp_path / f"cpu{cpu}" / "topology"
        facts.mkdir(parents=True)
        (facts / "physical_package_id").write_text("0")
        (facts / "core_id").write_text(str(core))

    assert count_cores(range(4), tmp_path) == 2
    assert count_cores([0, 1], tmp_path) == 1
    assert count_cores(range(3), tmp_path / "missing") == 3


def test_a_containers_quota_counts_and_one_thread_is_the_least(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text("50000 100000")

    assert default_threads(quota=quota) == 1
    assert default_threads(quota=tmp_path / "missing") >= 1
